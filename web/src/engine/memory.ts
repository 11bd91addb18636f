/** Where everything lies in WebAssembly's memory: weights once, values while they are needed, and room for patches. */
import type { Graph, Op } from "./graph";
import type { Tensor } from "./safetensors";
import { WASM } from "./wasm";

export interface Kernels {
  gemm(a: number, b: number, c: number, bias: number, m: number, k: number, n: number, ldb: number, ldc: number): void;
  gemv(w: number, x: number, b: number, y: number, n: number, k: number): void;
  im2col(...args: number[]): void;
  col2im(...args: number[]): void;
}

let compiled: WebAssembly.Module | undefined;

/** The compiled kernels over a memory. */
export function kernels(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(WASM), (c) => c.charCodeAt(0)));
  return new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Kernels;
}

const PAGE = 65536;
const FIRST = 1024; // below lies what the compiler may have put there
const align = (bytes: number) => (bytes + 15) & ~15;

export class Memory {
  readonly wasm: WebAssembly.Memory;
  readonly at: number[];
  readonly sizes: readonly number[];
  readonly scratch: number;
  private readonly constants = new Map<string, number>();

  constructor(graph: Graph, constants: ReadonlyMap<string, Tensor>) {
    this.sizes = graph.sizes;
    const stored = new Map<string, Float32Array>();
    for (const op of graph.ops) {
      for (const name of op.in) if (typeof name === "string") stored.set(name, constants.get(name)!.data as Float32Array);
      for (const [name, data] of rearranged(op, constants)) stored.set(name, data);
    }
    let end = FIRST;
    for (const [name, data] of stored) {
      this.constants.set(name, end);
      end = align(end + 4 * data.length);
    }
    const plan = assigned(graph, end);
    this.at = plan.at;
    this.scratch = plan.end;
    const bytes = this.scratch + 4 * Math.max(0, ...graph.ops.map(room));
    this.wasm = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
    for (const [name, data] of stored) this.floats(this.constants.get(name)!, data.length).set(data);
  }

  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.wasm.buffer, address, length);
  }

  address(operand: number | string): number {
    return typeof operand === "number" ? this.at[operand]! : this.constants.get(operand)!;
  }

  prepared(name: string): number {
    return this.constants.get(name)!;
  }
}

/** Addresses of the values: the room of one that is not read any more is given to the next that fits. */
function assigned(graph: Graph, start: number): { at: number[]; end: number } {
  const last = new Map<number, number>([[graph.output, Infinity]]);
  graph.ops.forEach((op, i) => {
    for (const operand of op.in) if (typeof operand === "number") last.set(operand, Math.max(last.get(operand) ?? 0, i));
  });
  const at: number[] = [];
  const free: [number, number][] = [];
  let end = start;
  const place = (value: number) => {
    const bytes = align(4 * graph.sizes[value]!);
    const fit = free.findIndex(([, size]) => size >= bytes);
    if (fit >= 0) {
      const [address, size] = free[fit]!;
      at[value] = address;
      if (size > bytes) free[fit] = [address + bytes, size - bytes];
      else free.splice(fit, 1);
    } else {
      at[value] = end;
      end += bytes;
    }
  };
  place(0); // the input keeps its room: it is written from outside
  last.set(0, Infinity);
  graph.ops.forEach((op, i) => {
    place(op.out);
    for (const operand of new Set(op.in)) {
      if (typeof operand === "number" && last.get(operand) === i) free.push([at[operand]!, align(4 * graph.sizes[operand]!)]);
    }
    if (!last.has(op.out)) free.push([at[op.out]!, align(4 * graph.sizes[op.out]!)]);
  });
  return { at, end };
}

/** Numbers of scratch that an operation needs. */
function room(op: Op): number {
  switch (op.op) {
    case "conv":
      return (op.x[0]! / op.groups) * op.kernel[0] * op.kernel[1] * 128;
    case "convt":
      return (op.y[0]! / op.groups) * op.kernel[0] * op.kernel[1] * op.x[1]! * op.x[2]!;
    case "separable":
      return op.x[0] * op.y[1];
    default:
      return 0;
  }
}

/** Weights in the order in which they are read. */
function* rearranged(op: Op, constants: ReadonlyMap<string, Tensor>): Iterable<[string, Float32Array]> {
  if (op.op === "separable") {
    const matrix = constants.get(op.in[2] as string)!;
    yield [`${op.in[2]}ᵀ`, transpose(matrix.data as Float32Array, 1, matrix.shape[0]!, matrix.shape[1]!)];
  }
  if (op.op === "convt") {
    const { data, shape } = constants.get(op.in[1] as string)!;
    yield [`${op.in[1]}ᵀ${op.groups}`, transpose(data as Float32Array, op.groups, shape[0]! / op.groups, shape[1]! * shape[2]! * shape[3]!)];
  }
}

function transpose(data: Float32Array, batch: number, rows: number, columns: number): Float32Array {
  const made = new Float32Array(data.length);
  for (let b = 0, n = 0; b < batch; b++)
    for (let c = 0; c < columns; c++) for (let r = 0; r < rows; r++, n++) made[n] = data[(b * rows + r) * columns + c]!;
  return made;
}
