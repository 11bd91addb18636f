/** The model, in a thread of its own, so that a step never holds up the page. */
import { kernels } from "../engine/memory";
import { Program } from "../engine/program";
import { parseSafetensors } from "../engine/safetensors";
import type { Answer, Ask } from "./protocol";

let model: { decode: Program; encode: Program; k: number } | undefined;

function answered(ask: Ask): Float32Array {
  if (ask.what === "load") {
    const { tensors } = parseSafetensors(ask.archive);
    model = { decode: new Program(ask.decode, tensors, kernels), encode: new Program(ask.encode, tensors, kernels), k: ask.k };
    return new Float32Array();
  }
  if (model === undefined) throw new Error("the model is not loaded");
  const { decode, encode, k } = model;
  switch (ask.what) {
    case "step": {
      const made = new Float32Array(ask.times * k);
      let z = ask.z;
      for (let i = 0; i < ask.times; i++) {
        z = encode.evaluate(decode.evaluate(z));
        made.set(z, i * k);
      }
      return made;
    }
    case "field":
      return rows(ask.z, k, k, (z) => encode.evaluate(decode.evaluate(z)));
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

self.onmessage = ({ data: ask }: MessageEvent<Ask>) => {
  let answer: Answer;
  try {
    answer = { id: ask.id, data: answered(ask) };
  } catch (error) {
    answer = { id: ask.id, error: String(error) };
  }
  self.postMessage(answer, "data" in answer ? { transfer: [answer.data.buffer] } : {});
};
