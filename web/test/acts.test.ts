/** What a reader does on the page: other planes, starts from pictures, merge radii, and what is taken along. */
import { describe, expect, it } from "vitest";
import type { Backend } from "../src/backend/backend";
import { Blend, BLENDS } from "../src/core/blend";
import { drawing } from "../src/core/drawing";
import { Fates } from "../src/core/fate";
import { joined, plateaus, spanningTree } from "../src/core/linkage";
import { FLOW_STEP, Orbit } from "../src/core/orbit";
import { blended, fromBytes, fromPixels, noise } from "../src/core/pictures";
import { around, principal, sheetOf } from "../src/core/planes";
import { type About, Scene } from "../src/core/scene";
import { Grid, Sheet } from "../src/core/sheet";
import { Survey } from "../src/core/survey";
import { orbitCsv, python, tableCsv } from "../src/core/written";
import type { Tensor } from "../src/engine/safetensors";

const f32 = (...values: number[]) => Float32Array.from(values);
const row = (name: string) => ({
  name, hue: "#3b4ba3", kind: "fixed point", moving: false, stable: 1, period: 1, rho: 0.5, norm: 0.5, residual: 0, share: 0.25,
  interval: [0.2, 0.3] as [number, number], area: 0.25, steps: 9,
});
/** f(z) = z/2 + s/2 with s the signs of the first two of three coordinates: four attractors at (±1, ±1, 0). */
const ends = [[1, 1], [-1, 1], [1, -1], [-1, -1]] as const;
const scene = new Scene(
  {
    title: "Four & one", origin: "m.py:load", latent_shape: [3], sets: ["A", "B", "C", "=D,"].map(row), spread: 1, tolerance: 1e-5, max_steps: 500,
    protocol: { merge: "distance", merge_tolerance: 1e-6 }, plane: { extent: [-1, 1, -1, 1], labels: ["x", "y"], description: "" }, field_side: 57, grid: [41, 41],
  } as unknown as About,
  new Map<string, Tensor>([
    ["set_z", { data: f32(...ends.flatMap(([x, y]) => [x, y, 0])), shape: [4, 3] }],
    ["set_owner", { data: Int32Array.of(0, 1, 2, 3), shape: [4] }],
  ]),
);
const f = (z: Float32Array) => f32(z[0]! / 2 + Math.sign(z[0]!) / 2, z[1]! / 2 + Math.sign(z[1]!) / 2, z[2]! / 2);
let asked = 0;
const backend: Backend = {
  anywhere: true,
  words: "",
  snap: (z) => z,
  step: (z, times) => Promise.resolve(Array.from({ length: times }, (_, i) => ({ advanced: i + 1, z: (z = f(z)) }))),
  decode: () => Promise.resolve(undefined),
  encode: (x) => Promise.resolve(x),
  field: (z) => {
    asked += z.length / 3;
    const made = new Float32Array(z.length);
    for (let i = 0; i < z.length; i += 3) made.set(f(z.subarray(i, i + 3)), i);
    return Promise.resolve(made);
  },
};
const fates = new Fates(scene);

describe("planes of a reader's choice", () => {
  it("go through the sets that are named, with orthonormal axes", () => {
    const { plane, extent, words } = sheetOf({ kind: "sets", of: [0, 1, 2] }, scene);
    for (const set of [0, 1, 2]) expect(plane.away(scene.trace(set)[0]!)).toBeLessThan(1e-3);
    expect(plane.coordinates(scene.trace(1)[0]!)).toEqual([2, 0]);
    expect(words).toBe("the plane through A, B and C");
    expect(extent[0]).toBeLessThan(0);
  });
  it("that are none are refused in words", () => {
    expect(() => sheetOf({ kind: "sets", of: [0, 1, 1] }, scene)).toThrow("span no plane");
    expect(() => sheetOf({ kind: "pca", of: 0 }, scene)).toThrow("span no plane");
  });
  it("follow the largest variance", () => {
    const circle = Array.from({ length: 40 }, (_, i) => f32(3 * Math.cos(i / 6.4), 0.1 * Math.sin(i), 2 * Math.sin(i / 6.4)));
    const { axes, share } = principal(circle, 3);
    expect(Math.abs(axes[0][0]!)).toBeGreaterThan(0.99);
    expect(Math.abs(axes[1][2]!)).toBeGreaterThan(0.99);
    expect(share).toBeGreaterThan(0.99);
  });
  it("leave a margin and are no slivers", () => {
    const nothing = new Scene({ ...scene.about, sets: [] }, new Map<string, Tensor>([["origin_z", { data: f32(5, 6, 7), shape: [3] }]]));
    const sheet = sheetOf({ kind: "coordinates", of: [0, 2] }, nothing);
    expect([sheet.extent, Array.from(sheet.plane.origin)]).toEqual([[-1, 1, -1, 1], [5, 6, 7]]);
    expect(around([[0, 0], [10, 1]], 0.6).map((value) => Number(value.toFixed(6)))).toEqual([-1, 11, -4.3, 5.3]);
  });
});

describe("the survey of a plane", () => {
  it("computes each node once, coarse to fine, exactly", async () => {
    const sheet = sheetOf({ kind: "coordinates", of: [0, 2] }, scene);
    asked = 0;
    let finished = false;
    const sides: (number | undefined)[] = [];
    await new Survey(sheet, backend, (all) => {
      finished = all;
      sides.push(sheet.flow()?.side);
    }).field();
    expect(asked).toBe(57 * 57);
    expect(finished).toBe(true);
    expect([...new Set(sides)].filter(Boolean)).toEqual([8, 15, 29, 57]);
    const z = sheet.plane.lift(...sheet.field.place(sheet.extent, 1234));
    const v = f(z).map((value, i) => value - z[i]!);
    expect(sheet.speed[1234]).toBeCloseTo(Math.hypot(...v), 6);
    expect(sheet.out![1234]).toBeCloseTo(v[1]! ** 2 / (v[0]! ** 2 + v[1]! ** 2 + v[2]! ** 2), 5);
  });
  it("stops at once where it is cancelled, and keeps what it has", async () => {
    const sheet = sheetOf({ kind: "coordinates", of: [0, 1] }, scene);
    const survey: Survey = new Survey(sheet, backend, () => survey.cancel());
    await survey.field();
    expect(sheet.field.count).toBeGreaterThan(0);
    expect(sheet.field.count).toBeLessThan(57 * 57);
  });
  it("follows the nodes of the basins to their ends", async () => {
    const sheet = sheetOf({ kind: "coordinates", of: [0, 1] }, scene);
    await new Survey(sheet, backend, () => {}).basins(fates);
    for (let n = 0; n < 41 * 41; n += 7) {
      const [x, y] = sheet.basins.place(sheet.extent, n);
      if (Math.abs(x) > 1e-6 && Math.abs(y) > 1e-6) expect(ends[sheet.basin[n]!]).toEqual([Math.sign(x), Math.sign(y)]);
    }
  });
  it("shows the known node nearest to a place, never one between", () => {
    const grid = new Grid(9, 9);
    expect(grid.nearest(3, 3)).toBe(-1);
    grid.known[0] = grid.known[80] = 1;
    expect([grid.nearest(3, 3), grid.nearest(6, 7)]).toEqual([0, 80]);
    grid.known[4 * 9 + 4] = 1;
    expect(grid.nearest(3, 5)).toBe(4 * 9 + 4);
  });
});

describe("the flow", () => {
  it("is dz/dt = f(z) − z in Euler steps, and reaches the fixed points", async () => {
    const orbit = new Orbit(f32(3, 1, 0), backend, fates, "flow");
    await orbit.finish();
    expect(orbit.points[1]!.z[0]).toBeCloseTo(3 + FLOW_STEP * (2 - 3), 6);
    expect(orbit.residuals[0]).toBeCloseTo(1, 5);
    expect(orbit.fate).toMatchObject({ kind: "arrived", set: 0 });
    expect(fates.words(orbit.fate, orbit.last.t, "flow")).toMatch(/^After a time of \d+\.\d it has arrived at attractor A/);
  });
});

describe("an orbit on a closed curve", () => {
  it("has arrived, and goes round for as long as it is asked", async () => {
    const turn = (z: Float32Array) => {
      const [r, a] = [Math.hypot(z[0]!, z[1]!), Math.atan2(z[1]!, z[0]!) + 0.1];
      return f32(((1 + r) / 2) * Math.cos(a), ((1 + r) / 2) * Math.sin(a), 0);
    };
    const circle = Array.from({ length: 256 }, (_, i) => [Math.cos(i / 40.7), Math.sin(i / 40.7), 0]).flat();
    const curve = new Scene({ ...scene.about, sets: [{ ...row("A"), kind: "closed curve", moving: true, period: 0 }] }, new Map<string, Tensor>([
      ["set_z", { data: f32(...circle), shape: [256, 3] }], ["set_owner", { data: new Int32Array(256), shape: [256] }],
    ]));
    const turning: Backend = { ...backend, step: (z, times) => Promise.resolve(Array.from({ length: times }, (_, i) => ({ advanced: i + 1, z: (z = turn(z)) }))) };
    const fates = new Fates(curve);
    const orbit = new Orbit(f32(3, 0, 0), turning, fates);
    await orbit.finish();
    expect(orbit.fate).toMatchObject({ kind: "arrived", set: 0 });
    expect(orbit.points.length).toBeGreaterThan(orbit.arrived! + 200);
    const [before, t] = [orbit.points.length, orbit.last.t];
    await orbit.further();
    expect(orbit.points.length).toBeGreaterThan(before);
    expect(orbit.last.t).toBeGreaterThan(t);
    expect(fates.words(orbit.fate, orbit.arrived!)).toContain("attracting closed curve A: it is");
    expect(fates.words(orbit.fate, orbit.arrived!)).toContain("goes round on it for ever");
  });
});

describe("merge radii", () => {
  it("count by single linkage, exactly", async () => {
    const points = [0, 1, 3, 30].map((x) => [f32(x, 0)]);
    const edges = await spanningTree(points);
    expect(edges.map(({ length }) => length)).toEqual([1, 2, 27]);
    expect(plateaus(edges, 0.1)).toEqual([{ count: 4, from: 0.1, to: 1 }, { count: 3, from: 1, to: 2 }, { count: 2, from: 2, to: 27 }, { count: 1, from: 27, to: Infinity }]);
    expect(Array.from(joined(edges, 4, 2))).toEqual([0, 0, 0, 3]);
    expect(Array.from(joined(edges, 4, 0.5))).toEqual([0, 1, 2, 3]);
  });
  it("skip radii that the library has merged already, and ties", async () => {
    expect(plateaus(await spanningTree([0, 1, 2].map((x) => [f32(x)])), 0.5)).toEqual([{ count: 3, from: 0.5, to: 1 }, { count: 1, from: 1, to: Infinity }]);
  });
});

describe("blends", () => {
  it("find every flip between two pictures and halve it", async () => {
    const blend = new Blend((share) => Promise.resolve({ kind: "arrived", set: share < 0.3 ? 0 : share < 0.71 ? 1 : 2, distance: 0 }), () => {});
    await blend.run();
    expect(blend.sets.length).toBe(BLENDS);
    expect(blend.flips.map(({ from, to }) => [from, to])).toEqual([[0, 1], [1, 2]]);
    for (const [i, wanted] of [0.3, 0.71].entries()) {
      expect(blend.flips[i]!.below).toBeLessThanOrEqual(wanted);
      expect(blend.flips[i]!.above).toBeGreaterThanOrEqual(wanted);
      expect(blend.flips[i]!.above - blend.flips[i]!.below).toBeLessThan(1e-5);
    }
  });
});

describe("pictures", () => {
  it("become the model's numbers", () => {
    expect(Array.from(fromPixels(Uint8ClampedArray.of(255, 0, 0, 255, 0, 0, 255, 255), 3, [-1, 1]))).toEqual([1, -1, -1, -1, -1, 1]);
    expect(fromPixels(Uint8ClampedArray.of(255, 255, 255, 255), 1, [0, 1])[0]).toBeCloseTo(1, 6);
    expect(Array.from(fromBytes([255, 0, 0, 0, 0, 255], 3, [0, 1]))).toEqual([1, 0, 0, 0, 0, 1]);
    expect(noise(3, 50, [0, 2])).toEqual(noise(3, 50, [0, 2]));
    expect(noise(3, 50, [0, 2])).not.toEqual(noise(4, 50, [0, 2]));
    expect(Math.max(...noise(1, 1000, [0, 2]))).toBeLessThanOrEqual(2);
    expect(Array.from(blended(f32(0, 4), f32(2, 0), 0.25))).toEqual([0.5, 3]);
  });
});

describe("what is taken along", () => {
  it("is the orbit with every number of a float32, and a table that no program takes for formulas", async () => {
    const orbit = new Orbit(f32(0.1, 2, 3), backend, fates);
    await orbit.finish();
    const lines = orbitCsv(orbit, sheetOf({ kind: "coordinates", of: [0, 1] }, scene)).trim().split("\n");
    expect(lines[0]).toBe("step,x,y,step_length,z1,z2,z3");
    expect(lines.length).toBe(orbit.points.length + 1);
    expect(Math.fround(Number(lines[1]!.split(",")[4]))).toBe(Math.fround(0.1));
    const table = tableCsv(scene, [3, 0]).trim().split("\n");
    expect(table.map((line) => line.slice(0, 7))).toEqual(["set,kin", `"'=D,",`, "A,fixed"]);
  });
  it("is lines of Python with the start and the plane", () => {
    const text = python(scene, sheetOf({ kind: "coordinates", of: [0, 1] }, scene), "flow", f32(0.1, 2, 3), 7);
    expect(text).toContain('field = sx.load("m.py:load")\nz = torch.tensor([0.100000001, 2, 3]).reshape(1, 3)\nfor step in range(7):\n    z = z + 0.1 * (field(z) - z)');
    expect(text).toContain("plane = sx.plots.Plane.through(origin, axes)");
  });
  it("is a drawing of shapes, with the title escaped", () => {
    const cells = { width: 2, height: 2, data: Uint8ClampedArray.of(1, 2, 3, 255, 1, 2, 3, 255, 0, 0, 0, 0, 9, 9, 9, 255) } as unknown as ImageData;
    const text = drawing({ title: "a < b", words: "", extent: [0, 1, 0, 1], labels: ["x", "y"], cells, lines: [[[0, 0], [1, 1]]], lineColour: "#fff",
      marks: [{ x: 0.5, y: 0.5, name: "<A>", hue: "#dbbb52", round: true, large: true }], orbit: [[0, 0], [1, 0]] });
    expect(text).toContain("<title>a &lt; b</title>");
    expect(text).toContain("&lt;A&gt;</text>");
    expect(text.match(/<path fill="#/g)?.length).toBe(2); // a run of two cells and one cell; what is not known has none
    expect(text).not.toContain("<image");
  });
});

it("a sheet of Python's own plane is complete", () => {
  const side = 3;
  const own = new Scene({ ...scene.about, field_side: side, grid: [2, 2] }, new Map<string, Tensor>([
    ["origin_z", { data: new Float32Array(3), shape: [3] }], ["axes_z", { data: f32(1, 0, 0, 0, 1, 0), shape: [2, 3] }],
    ["velocity", { data: new Float32Array(18), shape: [9, 2] }], ["speed", { data: new Float32Array(9), shape: [9] }],
    ["basin", { data: new Int32Array(4), shape: [4] }], ["basin_steps", { data: new Int32Array(4), shape: [4] }],
  ]));
  const sheet = Sheet.own(own);
  expect(sheet.flow()!.side).toBe(3);
  expect(sheet.out).toBeUndefined();
});
