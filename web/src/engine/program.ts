/**
 * One half of a model, ready to run: every operation is bound once to its arrays in WebAssembly's memory. Products of matrices run there, with
 * vectors; the rest is loops over the same memory.
 */
import { BINARY, UNARY } from "./functions";
import type { Graph, Op } from "./graph";
import { type Kernels, Memory } from "./memory";
import type { Tensor } from "./safetensors";

/** Columns of a convolution that are made at once: the patches then stay in the cache. */
const TILE = 128;

export class Program {
  readonly shape: readonly number[];
  readonly length: number;
  private readonly run: (() => void)[] = [];
  private readonly memory: Memory;
  private readonly at: number[];
  private readonly output: number;
  private readonly input: Float32Array;
  private readonly answer: Float32Array;

  constructor(graph: Graph, constants: ReadonlyMap<string, Tensor>, kernels: (memory: WebAssembly.Memory) => Kernels) {
    this.shape = graph.shape;
    this.length = graph.shape.reduce((a, b) => a * b, 1);
    this.output = graph.output;
    this.memory = new Memory(graph, constants);
    this.at = this.memory.at;
    const k = kernels(this.memory.wasm);
    for (const op of graph.ops) this.run.push(this.bound(op, k, constants));
    this.input = this.memory.floats(this.at[0]!, graph.sizes[0]!);
    this.answer = this.memory.floats(this.at[this.output]!, this.length);
  }

  /** The answer for one row; it is overwritten by the next. */
  evaluate(row: Float32Array): Float32Array {
    this.input.set(row);
    for (const step of this.run) step();
    return this.answer;
  }

  private bound(op: Op, k: Kernels, constants: ReadonlyMap<string, Tensor>): () => void {
    const m = this.memory;
    const size = (value: number) => m.sizes[value]!;
    const address = (operand: number | string) => m.address(operand);
    const read = (operand: number | string) =>
      typeof operand === "number" ? m.floats(address(operand), size(operand)) : m.floats(address(operand), constants.get(operand)!.data.length);
    const y = m.floats(this.at[op.out]!, size(op.out));
    const x = read(op.in[0]!);
    const xAt = address(op.in[0]!);
    const yAt = this.at[op.out]!;
    switch (op.op) {
      case "linear": {
        const w = address(op.in[1]!);
        const b = op.in.length > 2 ? address(op.in[2]!) : 0;
        return () => {
          for (let r = 0; r < op.rows; r++) k.gemv(w, xAt + 4 * r * op.k, b, yAt + 4 * r * op.n, op.n, op.k);
        };
      }
      case "matmul": {
        const bAt = address(op.in[1]!);
        // A batch of one that is shared by the other operand is read again and again.
        const sa = x.length === op.m * op.k ? 0 : 4 * op.m * op.k;
        const sb = read(op.in[1]!).length === op.k * op.n ? 0 : 4 * op.k * op.n;
        return () => {
          for (let i = 0; i < op.batch; i++) k.gemm(xAt + sa * i, bAt + sb * i, yAt + 4 * i * op.m * op.n, 0, op.m, op.k, op.n, op.n, op.n);
        };
      }
      case "conv":
        return this.convolution(op, k, xAt, yAt);
      case "convt":
        return this.transposed(op, k, xAt, yAt, y);
      case "unary": {
        const fn = UNARY[op.fn];
        if (fn === undefined) throw new Error(`unknown function ${op.fn}`);
        const p = op.p;
        return op.fn === "relu" ? () => relu(x, y) : () => each(x, y, fn, p);
      }
      case "binary": {
        const fn = BINARY[op.fn];
        if (fn === undefined) throw new Error(`unknown function ${op.fn}`);
        const b = read(op.in[1]!);
        const [i, j] = op.strides.map((strides) => places(op.shape, strides, 0));
        return () => {
          for (let n = 0; n < y.length; n++) y[n] = fn(x[i![n]!]!, b[j![n]!]!);
        };
      }
      case "where": {
        const [a, b] = [read(op.in[1]!), read(op.in[2]!)];
        const [c, i, j] = op.strides.map((strides) => places(op.shape, strides, 0));
        return () => {
          for (let n = 0; n < y.length; n++) y[n] = x[c![n]!] !== 0 ? a[i![n]!]! : b[j![n]!]!;
        };
      }
      case "strided": {
        const from = places(op.shape, op.strides, op.offset);
        return () => {
          for (let n = 0; n < y.length; n++) y[n] = x[from[n]!]!;
        };
      }
      case "take": {
        const table = constants.get(op.table)!.data;
        return () => {
          for (let n = 0; n < y.length; n++) y[n] = table[n]! < 0 ? op.fill : x[table[n]!]!;
        };
      }
      case "reduce":
        return () => {
          for (let r = 0; r < op.rows; r++) {
            const row = x.subarray(r * op.cols, (r + 1) * op.cols);
            let total = op.fn === "max" ? -Infinity : 0;
            for (const value of row) total = op.fn === "max" ? Math.max(total, value) : total + value;
            y[r] = op.fn === "mean" ? total / op.cols : total;
          }
        };
      case "softmax":
        return () => softmax(x, y, op.rows, op.cols);
      case "normalize":
      case "affine": {
        const [scale, shift] = [read(op.in[1]!), read(op.in[2]!)];
        return () => {
          if (op.op === "normalize") normalize(x, y, op.rows, op.cols, op.eps);
          const from = op.op === "normalize" ? y : x;
          for (let n = 0; n < y.length; ) {
            const c = Math.floor(n / op.inner) % op.channels;
            for (const end = n + op.inner; n < end; n++) y[n] = from[n]! * scale[c]! + shift[c]!;
          }
        };
      }
      case "cat": {
        const parts = op.in.map(read);
        return () => {
          let at = 0;
          for (let o = 0; o < op.outer; o++)
            parts.forEach((part, i) => {
              const chunk = op.chunks[i]!;
              y.set(part.subarray(o * chunk, (o + 1) * chunk), at);
              at += chunk;
            });
        };
      }
      case "separable": {
        const [rows, columns] = [address(op.in[1]!), this.memory.prepared(`${op.in[2]}ᵀ`)];
        const [h, w] = op.x;
        const [oh, ow] = op.y;
        return () => {
          for (let p = 0; p < op.planes; p++) {
            k.gemm(xAt + 4 * p * h * w, columns, m.scratch, 0, h, w, ow, ow, ow);
            k.gemm(rows, m.scratch, yAt + 4 * p * oh * ow, 0, oh, h, ow, ow, ow);
          }
        };
      }
      case "maxpool":
        return () => maxpool(x, y, op);
    }
  }

  private convolution(op: Op & { op: "conv" | "convt" }, k: Kernels, xAt: number, yAt: number): () => void {
    const m = this.memory;
    const [c, h, w] = op.x as [number, number, number];
    const [o, oh, ow] = op.y as [number, number, number];
    const [kh, kw] = op.kernel;
    const g = op.groups;
    const weights = m.address(op.in[1]!);
    const bias = op.in.length > 2 ? m.address(op.in[2]!) : 0;
    const depth = (c / g) * kh * kw;
    const columns = oh * ow;
    const direct = kh === 1 && kw === 1 && op.stride.every((s) => s === 1) && op.padding.every((p) => p === 0);
    return () => {
      for (let i = 0; i < g; i++) {
        const from = xAt + 4 * i * (c / g) * h * w;
        const to = yAt + 4 * i * (o / g) * columns;
        const b = bias && bias + 4 * i * (o / g);
        const a = weights + 4 * i * (o / g) * depth;
        for (let first = 0; first < columns; first += TILE) {
          const count = Math.min(TILE, columns - first);
          if (direct) {
            k.gemm(a, from + 4 * first, to + 4 * first, b, o / g, depth, count, columns, columns);
          } else {
            k.im2col(from, m.scratch, c / g, h, w, kh, kw, ...op.stride, ...op.padding, ...op.dilation, ow, first, count);
            k.gemm(a, m.scratch, to + 4 * first, b, o / g, depth, count, count, columns);
          }
        }
      }
    };
  }

  private transposed(op: Op & { op: "conv" | "convt" }, k: Kernels, xAt: number, yAt: number, y: Float32Array): () => void {
    const m = this.memory;
    const [c, h, w] = op.x as [number, number, number];
    const [o, oh, ow] = op.y as [number, number, number];
    const [kh, kw] = op.kernel;
    const g = op.groups;
    const weights = m.prepared(`${op.in[1]}ᵀ${g}`);
    const bias = op.in.length > 2 ? m.floats(m.address(op.in[2]!), o) : undefined;
    const depth = (o / g) * kh * kw;
    return () => {
      for (let i = 0; i < o; i++) y.fill(bias?.[i] ?? 0, i * oh * ow, (i + 1) * oh * ow);
      for (let i = 0; i < g; i++) {
        k.gemm(weights + 4 * i * depth * (c / g), xAt + 4 * i * (c / g) * h * w, m.scratch, 0, depth, c / g, h * w, h * w, h * w);
        k.col2im(m.scratch, yAt + 4 * i * (o / g) * oh * ow, o / g, h, w, kh, kw, ...op.stride, ...op.padding, ...op.dilation, oh, ow);
      }
    };
  }
}

function relu(x: Float32Array, y: Float32Array): void {
  for (let n = 0; n < y.length; n++) {
    const value = x[n]!;
    y[n] = value < 0 ? 0 : value;
  }
}

function each(x: Float32Array, y: Float32Array, fn: (x: number, p: readonly number[]) => number, p: readonly number[]): void {
  for (let n = 0; n < y.length; n++) y[n] = fn(x[n]!, p);
}

/** Where the numbers of an array lie that is read by strides. */
function places(shape: readonly number[], strides: readonly number[], offset: number): Int32Array {
  const made = new Int32Array(shape.reduce((a, b) => a * b, 1));
  const index = shape.map(() => 0);
  for (let n = 0, at = offset; n < made.length; n++) {
    made[n] = at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return made;
}

function softmax(x: Float32Array, y: Float32Array, rows: number, cols: number): void {
  for (let r = 0; r < rows; r++) {
    const [first, last] = [r * cols, (r + 1) * cols];
    let most = -Infinity;
    for (let n = first; n < last; n++) most = Math.max(most, x[n]!);
    let total = 0;
    for (let n = first; n < last; n++) total += y[n] = Math.exp(x[n]! - most);
    for (let n = first; n < last; n++) y[n]! /= total;
  }
}

function normalize(x: Float32Array, y: Float32Array, rows: number, cols: number, eps: number): void {
  for (let r = 0; r < rows; r++) {
    const [first, last] = [r * cols, (r + 1) * cols];
    let mean = 0;
    for (let n = first; n < last; n++) mean += x[n]!;
    mean /= cols;
    let variance = 0;
    for (let n = first; n < last; n++) variance += (x[n]! - mean) ** 2;
    const scale = 1 / Math.sqrt(variance / cols + eps);
    for (let n = first; n < last; n++) y[n] = (x[n]! - mean) * scale;
  }
}

function maxpool(x: Float32Array, y: Float32Array, op: Op & { op: "maxpool" }): void {
  const [h, w] = op.x as [number, number];
  const [oh, ow] = op.y as [number, number];
  for (let p = 0, n = 0; p < op.planes; p++)
    for (let i = 0; i < oh; i++)
      for (let j = 0; j < ow; j++, n++) {
        let most = -Infinity;
        for (let u = 0; u < op.kernel[0]; u++)
          for (let v = 0; v < op.kernel[1]; v++) {
            const [iy, ix] = [i * op.stride[0] - op.padding[0] + u * op.dilation[0], j * op.stride[1] - op.padding[1] + v * op.dilation[1]];
            if (iy >= 0 && iy < h && ix >= 0 && ix < w) most = Math.max(most, x[p * h * w + iy * w + ix]!);
          }
        y[n] = most;
      }
}
