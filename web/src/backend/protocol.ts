/** What the page and its worker say to each other. */
import type { Graph } from "../engine/graph";

export type Ask =
  | { id: number; what: "unpack"; archive: string }
  | { id: number; what: "load"; decode: Graph; encode: Graph; k: number; golden: Float32Array }
  | { id: number; what: "step"; z: Float32Array; times: number }
  | { id: number; what: "decode" | "encode" | "field"; z: Float32Array };

export type Answer = { id: number; data: Float32Array } | { id: number; error: string };
