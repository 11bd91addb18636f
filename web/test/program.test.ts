import { describe, expect, it } from "vitest";
import type { Graph, Op } from "../src/engine/graph";
import { kernels } from "../src/engine/memory";
import { Program } from "../src/engine/program";
import type { Tensor } from "../src/engine/safetensors";

/** Numbers that repeat from run to run. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => ((state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff) * 2 - 1);
}

function run(op: object, constants: Record<string, Tensor>, x: Float32Array, size: number, shape: number[]): Float32Array {
  const graph: Graph = { ops: [{ ...op, out: 1 } as Op], sizes: [x.length, size], output: 1, shape };
  return new Program(graph, new Map(Object.entries(constants)), kernels).evaluate(x).slice();
}

function near(found: Float32Array, wanted: ArrayLike<number>): void {
  expect(found.length).toBe(wanted.length);
  for (let i = 0; i < found.length; i++) expect(Math.abs(found[i]! - wanted[i]!)).toBeLessThan(1e-5);
}

describe("products of matrices", () => {
  // Sizes beside those of the vectors: remainders of rows, of columns and of the depth.
  it.each([[1, 1, 1], [3, 5, 7], [4, 8, 8], [5, 9, 17], [6, 31, 130]])("matmul %i×%i·%i×%i", (m, k, n) => {
    const [a, b] = [numbers(m * k, 1), numbers(k * n, 2)];
    const wanted = Float32Array.from({ length: m * n }, (_, i) => {
      let sum = 0;
      for (let t = 0; t < k; t++) sum += a[Math.floor(i / n) * k + t]! * b[t * n + (i % n)]!;
      return sum;
    });
    near(run({ op: "matmul", in: [0, "b"], batch: 1, m, k, n }, { b: { data: b, shape: [k, n] } }, a, m * n, [m, n]), wanted);
  });

  it("linear, with a bias and several rows", () => {
    const [x, w, b] = [numbers(2 * 7, 3), numbers(5 * 7, 4), numbers(5, 5)];
    const wanted = Float32Array.from({ length: 10 }, (_, i) => {
      let sum = b[i % 5]!;
      for (let t = 0; t < 7; t++) sum += x[Math.floor(i / 5) * 7 + t]! * w[(i % 5) * 7 + t]!;
      return sum;
    });
    near(run({ op: "linear", in: [0, "w", "b"], rows: 2, k: 7, n: 5 }, { w: { data: w, shape: [5, 7] }, b: { data: b, shape: [5] } }, x, 10, [2, 5]), wanted);
  });
});

interface Case { c: number; h: number; w: number; o: number; k: [number, number]; s: [number, number]; p: [number, number]; d: [number, number]; g: number }
const CASES: Case[] = [
  { c: 1, h: 5, w: 4, o: 3, k: [3, 3], s: [1, 1], p: [1, 1], d: [1, 1], g: 1 },
  { c: 4, h: 7, w: 6, o: 6, k: [3, 2], s: [2, 1], p: [1, 0], d: [1, 2], g: 2 },
  { c: 3, h: 13, w: 17, o: 5, k: [1, 1], s: [1, 1], p: [0, 0], d: [1, 1], g: 1 },
  { c: 2, h: 16, w: 16, o: 9, k: [4, 4], s: [2, 2], p: [1, 1], d: [1, 1], g: 1 },
];

describe("convolutions against their definition", () => {
  it.each(CASES)("$c×$h×$w → $o, kernel $k, stride $s, padding $p, dilation $d, $g groups", ({ c, h, w, o, k, s, p, d, g }) => {
    const x = numbers(c * h * w, 6);
    const weight = numbers(o * (c / g) * k[0] * k[1], 7);
    const bias = numbers(o, 8);
    const size = (n: number, i: 0 | 1) => Math.floor((n + 2 * p[i] - d[i] * (k[i] - 1) - 1) / s[i]) + 1;
    const [oh, ow] = [size(h, 0), size(w, 1)];
    const direct = new Float32Array(o * oh * ow);
    const back = new Float32Array(c * h * w); // of the transpose, applied to `direct`
    const walk = (visit: (y: number, x: number, weight: number) => void) => {
      for (let q = 0; q < o; q++)
        for (let i = 0; i < oh; i++)
          for (let j = 0; j < ow; j++)
            for (let e = 0; e < c / g; e++)
              for (let u = 0; u < k[0]; u++)
                for (let v = 0; v < k[1]; v++) {
                  const [iy, ix] = [i * s[0] - p[0] + u * d[0], j * s[1] - p[1] + v * d[1]];
                  const ch = Math.floor(q / (o / g)) * (c / g) + e;
                  if (iy >= 0 && iy < h && ix >= 0 && ix < w)
                    visit((q * oh + i) * ow + j, (ch * h + iy) * w + ix, weight[((q * (c / g) + e) * k[0] + u) * k[1] + v]!);
                }
    };
    for (let q = 0; q < o; q++) direct.fill(bias[q]!, q * oh * ow, (q + 1) * oh * ow);
    walk((at, from, value) => (direct[at]! += value * x[from]!));
    const spatial = { kernel: k, stride: s, padding: p, dilation: d, groups: g };
    const w4 = { data: weight, shape: [o, c / g, ...k] };
    near(run({ op: "conv", in: [0, "w", "b"], x: [c, h, w], y: [o, oh, ow], ...spatial }, { w: w4, b: { data: bias, shape: [o] } }, x, direct.length, [o, oh, ow]), direct);
    walk((at, from, value) => (back[from]! += value * direct[at]!));
    const found = run({ op: "convt", in: [0, "w"], x: [o, oh, ow], y: [c, h, w], ...spatial }, { w: w4 }, direct, back.length, [c, h, w]);
    for (let i = 0; i < back.length; i++) expect(Math.abs(found[i]! - back[i]!)).toBeLessThan(1e-4);
  });
});

describe("everything else", () => {
  it("reads by strides, and by tables", () => {
    const x = Float32Array.from({ length: 6 }, (_, i) => i);
    near(run({ op: "strided", in: [0], shape: [3, 2], strides: [1, 3], offset: 0 }, {}, x, 6, [3, 2]), [0, 3, 1, 4, 2, 5]);
    const table = { data: Int32Array.from([5, -1, 0]), shape: [3] };
    near(run({ op: "take", in: [0], table: "t", fill: 9 }, { t: table }, x, 3, [3]), [5, 9, 0]);
  });

  it("broadcasts", () => {
    const x = Float32Array.from([1, 2, 3, 4]);
    const b = { data: Float32Array.from([10, 20]), shape: [2] };
    near(run({ op: "binary", fn: "add", in: [0, "b"], shape: [2, 2], strides: [[2, 1], [0, 1]] }, { b }, x, 4, [2, 2]), [11, 22, 13, 24]);
  });

  it("normalizes, scales, and gives shares", () => {
    const x = Float32Array.from([1, 3, 10, 14]);
    const one = (data: number[]) => ({ data: Float32Array.from(data), shape: [data.length] });
    near(run({ op: "normalize", in: [0, "s", "b"], rows: 2, cols: 2, eps: 0, channels: 2, inner: 1 }, { s: one([2, 3]), b: one([0, 1]) }, x, 4, [2, 2]), [-2, 4, -2, 4]);
    near(run({ op: "softmax", in: [0], rows: 2, cols: 2 }, {}, Float32Array.from([0, 0, 1000, 0]), 4, [2, 2]), [0.5, 0.5, 1, 0]);
  });

  it("gives rooms to other values only when they are free", () => {
    // y = relu(x) + x·2, then minus x: the input and both parts are read late.
    const c = { data: Float32Array.from([2]), shape: [1] };
    const add = (a: number, b: number | string, out: number, fn: string, sb: number) => ({ op: "binary", fn, in: [a, b], out, shape: [3], strides: [[1], [sb]] });
    const ops = [{ op: "unary", fn: "relu", p: [], in: [0], out: 1 }, add(0, "c", 2, "mul", 0), add(1, 2, 3, "add", 1), add(3, 0, 4, "sub", 1)] as Op[];
    const program = new Program({ ops, sizes: [3, 3, 3, 3, 3], output: 4, shape: [3] }, new Map([["c", c]]), kernels);
    near(program.evaluate(Float32Array.from([-1, 0.5, 2])), [-1, 1, 4]);
    near(program.evaluate(Float32Array.from([1, -2, 0])), [2, -2, 0]);
  });
});
