/** The model, in a thread of its own, so that a step never holds up the page. */
import { inflated } from "../core/archive";
import { kernels } from "../engine/memory";
import { Program } from "../engine/program";
import { parseSafetensors } from "../engine/safetensors";
import type { Answer, Ask } from "./protocol";

let archive: Promise<Uint8Array> | undefined;
let model: { decode: Program; encode: Program; k: number } | undefined;

/** Milliseconds after which no further golden start is asked; two always are. */
const PATIENCE = 150;

/** Its answers at the golden starts, by which the page knows whether it can be believed. */
function golden(z: Float32Array, k: number): Float32Array {
  const made: number[] = [];
  const began = performance.now();
  for (let i = 0; i < z.length && (i <= k || performance.now() - began < PATIENCE); i += k) made.push(...step(z.subarray(i, i + k)));
  return Float32Array.from(made);
}

function step(z: Float32Array): Float32Array {
  return model!.encode.evaluate(model!.decode.evaluate(z));
}

async function answered(ask: Ask): Promise<Float32Array> {
  if (ask.what === "unpack") {
    archive = inflated(ask.archive);
    kernels(new WebAssembly.Memory({ initial: 1 })); // compiled meanwhile
    return new Float32Array();
  }
  if (ask.what === "load") {
    if (archive === undefined) throw new Error("there is no archive");
    const { tensors } = parseSafetensors(await archive);
    model = { decode: new Program(ask.decode, tensors, kernels), encode: new Program(ask.encode, tensors, kernels), k: ask.k };
    return golden(ask.golden, ask.k);
  }
  if (model === undefined) throw new Error("the model is not loaded");
  const { decode, encode, k } = model;
  switch (ask.what) {
    case "step": {
      const made = new Float32Array(ask.times * k);
      let z = ask.z;
      for (let i = 0; i < ask.times; i++) {
        z = step(z);
        made.set(z, i * k);
      }
      return made;
    }
    case "field":
      return rows(ask.z, k, k, step);
    case "decode":
      return rows(ask.z, k, decode.length, (z) => decode.evaluate(z));
    case "encode":
      return rows(ask.z, decode.length, k, (x) => encode.evaluate(x));
  }
}

function rows(given: Float32Array, width: number, out: number, f: (row: Float32Array) => Float32Array): Float32Array {
  const count = given.length / width;
  const made = new Float32Array(count * out);
  for (let i = 0; i < count; i++) made.set(f(given.subarray(i * width, (i + 1) * width)), i * out);
  return made;
}

self.onmessage = async ({ data: ask }: MessageEvent<Ask>) => {
  let answer: Answer;
  try {
    answer = { id: ask.id, data: await answered(ask) };
  } catch (error) {
    answer = { id: ask.id, error: String(error) };
  }
  self.postMessage(answer, "data" in answer ? { transfer: [answer.data.buffer] } : {});
};
