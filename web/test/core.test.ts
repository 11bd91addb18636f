import { describe, expect, it } from "vitest";
import type { Backend } from "../src/backend/backend";
import { Precomputed } from "../src/backend/precomputed";
import * as address from "../src/core/address";
import { inflated } from "../src/core/archive";
import { parse, readableOn } from "../src/core/colours";
import { Fates, grouped, scientific } from "../src/core/fate";
import { Flow, Particles } from "../src/core/flow";
import { Orbit } from "../src/core/orbit";
import { Plane } from "../src/core/plane";
import { type About, Scene } from "../src/core/scene";
import { erf, UNARY } from "../src/engine/functions";
import { parseSafetensors, type Tensor } from "../src/engine/safetensors";

const row = (name: string, stable: number) => ({
  name, hue: "#3b4ba3", kind: "fixed point", moving: false, stable, period: 1, rho: 0.5, norm: 0.5, residual: 0, share: 0.5,
  interval: [0.4, 0.6] as [number, number], area: 0.5, steps: 9,
});
const about = { latent_shape: [2], sets: [row("A", 1), row("s1", 0)], spread: 1, tolerance: 1e-5, max_steps: 50 } as unknown as About;
const scene = new Scene(
  about,
  new Map<string, Tensor>([
    ["set_z", { data: Float32Array.from([1, 0, 0, 0]), shape: [2, 2] }],
    ["set_owner", { data: Int32Array.from([0, 1]), shape: [2] }],
  ]),
);

/** f(z) = a + (z − a)/2 around A. */
const halving: Backend = {
  anywhere: true,
  words: "",
  snap: (z) => z,
  step: (z, times) => {
    const made = [];
    for (let i = 0, at = z; i < times; i++) made.push({ advanced: i + 1, z: (at = Float32Array.from([1 + (at[0]! - 1) / 2, at[1]! / 2])) });
    return Promise.resolve(made);
  },
  decode: () => Promise.resolve(undefined),
  encode: () => Promise.resolve(undefined),
  field: () => Promise.resolve(undefined),
};

describe("orbits", () => {
  it("go on until they have arrived, and keep every point and every step", async () => {
    const orbit = new Orbit(Float32Array.from([3, 0]), halving, new Fates(scene));
    await orbit.finish();
    expect(orbit.fate).toMatchObject({ kind: "arrived", set: 0 });
    expect(orbit.points.map((p) => p.t)).toEqual(orbit.points.map((_, i) => i));
    expect(orbit.points[1]!.z[0]).toBe(2);
    expect(orbit.residuals.slice(0, 3)).toEqual([1, 0.5, 0.25]);
    expect(orbit.residuals.length).toBe(orbit.points.length - 1);
  });

  it("that were cancelled take no further point", async () => {
    const orbit = new Orbit(Float32Array.from([3, 0]), halving, new Fates(scene));
    const going = orbit.advance();
    orbit.cancel();
    await going;
    expect(orbit.points.length).toBe(1);
  });
});

describe("fates", () => {
  const fates = new Fates(scene);
  it("do not take a slow passage near a saddle for arrival", () => {
    expect(fates.of(Float32Array.from([1e-6, 0]), 10, 1e-6).kind).toBe("moving");
    expect(fates.of(Float32Array.from([0, 0]), 10, 0)).toMatchObject({ kind: "arrived", set: 1 });
  });
  it("do not take rest far from every set for arrival", () => {
    expect(fates.of(Float32Array.from([5, 5]), 10, 0)).toMatchObject({ kind: "rests", near: 0 });
    expect(fates.words(fates.of(Float32Array.from([5, 5]), 10, 0), 10)).toContain("no known limit set");
  });
  it("know the end of the budget, and numbers that are none", () => {
    expect(fates.of(Float32Array.from([5, 5]), 50, 1).kind).toBe("budget");
    expect(fates.of(Float32Array.from([NaN, 5]), 3, 1).kind).toBe("left");
  });
  it("are said in words", () => {
    expect(fates.words({ kind: "arrived", set: 0, distance: 3e-6 }, 1)).toBe("After 1 step it has arrived at attractor A: it is 3·10⁻⁶ spreads away.");
    expect(scientific(0.0123)).toBe("0.012");
    expect(scientific(12345)).toBe("1.2·10⁴");
    expect([7, 999, 1000, 1234567].map(grouped)).toEqual(["7", "999", "1,000", "1,234,567"]);
  });
});

describe("planes", () => {
  const plane = new Plane(Float32Array.from([1, 1, 1]), Float32Array.from([1, 0, 0, 0, 0, 1]), 3);
  it("lift and project", () => {
    expect(Array.from(plane.lift(2, 3))).toEqual([3, 1, 4]);
    expect(plane.coordinates(Float32Array.from([3, 9, 4]))).toEqual([2, 3]);
    expect(plane.away(Float32Array.from([1, 5, 1]))).toBe(1);
    expect(plane.away(Float32Array.from([4, 1, 5]))).toBe(0);
  });
});

describe("what moves for the eye", () => {
  // v = (−y, x): circles.
  const side = 21;
  const velocity = new Float32Array(2 * side * side);
  for (let i = 0; i < side; i++) for (let j = 0; j < side; j++) velocity.set([-(i - 10) / 10, (j - 10) / 10], 2 * (i * side + j));
  const flow = new Flow(velocity, side, [-1, 1, -1, 1]);
  it("is exact at the nodes and linear between them", () => {
    expect(flow.at(0.25, -0.5)!.map((v) => Number(v.toFixed(6)))).toEqual([0.5, 0.25]);
    expect(flow.at(1.1, 0)).toBeUndefined();
  });
  it("keeps streamlines apart and inside", () => {
    const lines = flow.streamlines(12);
    expect(lines.length).toBeGreaterThan(4);
    for (const line of lines) for (const [x, y] of line) expect(flow.inside(x, y)).toBe(true);
  });
  it("renews particles that stand still", () => {
    const still = new Flow(new Float32Array(8), 2, [0, 1, 0, 1]);
    const particles = new Particles(still, 5, () => 0.5);
    const jumped = new Uint8Array(5);
    particles.drift(1, 1e-6, jumped);
    expect(Array.from(jumped)).toEqual([1, 1, 1, 1, 1]);
  });
});

describe("addresses", () => {
  const look = { layer: "basins", streamlines: false, particles: true } as const;
  const view = { motion: "flow", plane: { kind: "sets", of: [4, 0, 2] }, look, chosen: 3, radius: 0.25, filter: "cycle 2", sort: [2, true] } as const;
  it("bring back the whole view, and long starts bit for bit", () => {
    const z = Float32Array.from({ length: 300 }, (_, i) => Math.sin(i) / 3);
    const again = address.read(address.write({ ...view, z }), 300, 5, { ...look, layer: "speed" });
    expect(again).toEqual({ ...view, z });
  });
  it("of planes that are not there show the library's", () => {
    for (const said of ["sets.0.1.9", "sets.0.1.1", "coordinates.0", "coordinates.0.7", "pca.x", "nonsense"])
      expect(address.read(`#plane=${said}`, 5, 5, look).plane).toEqual({ kind: "own" });
    expect(address.read("#plane=coordinates.0.1", 2, 5, look).plane).toEqual({ kind: "own" });
  });
  it("bring back a start bit for bit", () => {
    const z = Float32Array.from([0.1, -123456.789]);
    const again = address.read(address.write({ ...view, z, look }), 2, 1, { ...look, layer: "speed" });
    expect(Array.from(again.z!)).toEqual(Array.from(z));
    expect(again.look).toEqual(look);
  });
  it("of another latent space, or of nonsense, are not taken", () => {
    expect(address.read("#z=1,2,3", 2, 1, look).z).toBeUndefined();
    expect(address.read("#z=1,x", 2, 1, look).z).toBeUndefined();
    expect(address.read("#layer=%00&z=", 2, 1, look).look).toEqual(look);
  });
});

describe("colours", () => {
  it("can be read", () => {
    expect(parse("#3b4ba3")).toEqual([59, 75, 163]);
    expect(readableOn("#dbbb52")).toBe("#10161d");
    expect(readableOn("#3b4ba3")).toBe("#ffffff");
  });
});

describe("archives", () => {
  it("hold arrays and half-precision numbers exactly", () => {
    const head = JSON.stringify({ __metadata__: { scene: "{}" }, a: { dtype: "F32", shape: [1], data_offsets: [0, 4] }, h: { dtype: "F16", shape: [4], data_offsets: [4, 12] } });
    const text = new TextEncoder().encode(head);
    const bytes = new Uint8Array(8 + text.length + 12);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(text.length), true);
    bytes.set(text, 8);
    view.setFloat32(8 + text.length, 1.5, true);
    [0x3c00, 0xc000, 0x0001, 0x7bff].forEach((bits, i) => view.setUint16(12 + text.length + 2 * i, bits, true));
    const { tensors, metadata } = parseSafetensors(bytes);
    expect(metadata["scene"]).toBe("{}");
    expect(Array.from(tensors.get("a")!.data)).toEqual([1.5]);
    expect(Array.from(tensors.get("h")!.data)).toEqual([1, -2, 2 ** -24, 65504]);
  });
});

describe("what a page unpacks", () => {
  const packed = async (bytes: Uint8Array<ArrayBuffer>) => {
    const deflated = await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
    return btoa(Array.from(new Uint8Array(deflated), (byte) => String.fromCharCode(byte)).join(""));
  };

  it("is what was packed, also where it comes in many parts", async () => {
    const bytes = Uint8Array.from({ length: 300_001 }, (_, i) => (i * i) % 251);
    expect(await inflated(` ${await packed(bytes)}\n`)).toEqual(bytes);
  });

  it("is refused where it is damaged", async () => {
    const text = await packed(Uint8Array.from({ length: 3000 }, (_, i) => (i * 7919) % 253));
    await expect(inflated(text.slice(0, 400))).rejects.toThrow();
    await expect(inflated(`AAAA${text.slice(4)}`)).rejects.toThrow();
  });

  it("is asked for once, and not before a picture is", async () => {
    const arrays = new Map<string, Tensor>([
      ["node_xy", { data: Float32Array.from([0, 0]), shape: [1, 2] }],
      ["node_z", { data: Float32Array.from([0, 0, 1, 1]), shape: [2, 2] }],
      ["node_t", { data: Int32Array.from([0, 1]), shape: [1, 2] }],
      ["node_end", { data: Int32Array.from([0]), shape: [1] }],
      ["node_frames", { data: Int32Array.from([0]), shape: [1] }],
    ]);
    const [own, asked] = [new Scene(about, arrays), { times: 0 }];
    const plane = new Plane(Float32Array.from([0, 0]), Float32Array.from([1, 0, 0, 1]), 2);
    const backend = new Precomputed(own, plane, "", async () => void asked.times++);
    const start = backend.snap(Float32Array.from([0.2, 0.1]));
    const [next] = await backend.step(start, 1);
    expect(await backend.decode(next!.z)).toBeUndefined(); // no picture was kept of this step
    expect(asked.times).toBe(0);
    await Promise.all([backend.decode(start), backend.decode(start)]);
    expect(asked.times).toBe(1);
  });
});

describe("functions", () => {
  it("agree with tables", () => {
    for (const [x, wanted] of [[0.5, 0.5204998778], [1, 0.8427007929], [2, 0.995322265], [3, 0.9999779095], [-1, -0.8427007929]] as const)
      expect(erf(x)).toBeCloseTo(wanted, 9);
    expect(UNARY["gelu"]!(1, [])).toBeCloseTo(0.8413447461, 9);
    expect(UNARY["elu"]!(-1, [1, 1, 1])).toBeCloseTo(Math.exp(-1) - 1, 12);
  });
});
