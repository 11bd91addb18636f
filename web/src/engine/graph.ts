/** The list of operations that Python writes (separatrix.explorer._graph), as it stands in a page. */
export type Operand = number | string;

interface Base<K extends string> {
  op: K;
  in: Operand[];
  out: number;
}

export interface Spatial {
  x: number[];
  y: number[];
  kernel: [number, number];
  stride: [number, number];
  padding: [number, number];
  dilation: [number, number];
}

export type Op =
  | (Base<"conv" | "convt"> & Spatial & { groups: number })
  | (Base<"maxpool"> & Spatial & { planes: number })
  | (Base<"linear"> & { rows: number; k: number; n: number })
  | (Base<"matmul"> & { batch: number; m: number; k: number; n: number })
  | (Base<"unary"> & { fn: string; p: number[] })
  | (Base<"binary"> & { fn: string; shape: number[]; strides: number[][] })
  | (Base<"where"> & { shape: number[]; strides: number[][] })
  | (Base<"strided"> & { shape: number[]; strides: number[]; offset: number })
  | (Base<"take"> & { table: string; fill: number })
  | (Base<"reduce"> & { fn: "mean" | "sum" | "max"; rows: number; cols: number })
  | (Base<"softmax"> & { rows: number; cols: number })
  | (Base<"normalize"> & { rows: number; cols: number; eps: number; channels: number; inner: number })
  | (Base<"affine"> & { channels: number; inner: number })
  | (Base<"cat"> & { outer: number; chunks: number[] })
  | (Base<"separable"> & { planes: number; x: [number, number]; y: [number, number] });

export interface Graph {
  ops: Op[];
  sizes: number[];
  output: number;
  shape: number[];
}
