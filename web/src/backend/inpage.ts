/** The model inside the page. It is believed after it has given the answers that Python gave at the golden starts. */
import type { Scene } from "../core/scene";
import { distance } from "../core/plane";
import type { Backend, Next } from "./backend";
import type { Answer, Ask } from "./protocol";
import EngineWorker from "./worker?worker&inline";

type Question = Ask extends infer A ? (A extends { id: number } ? Omit<A, "id"> : never) : never;

export class InPage implements Backend {
  readonly anywhere = true;
  readonly words = "Orbits are computed in this page, by the model itself.";
  private readonly worker = new EngineWorker();
  private readonly waiting = new Map<number, { resolve: (data: Float32Array) => void; reject: (error: Error) => void }>();
  private asked = 0;

  private k = 0;

  private constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const waiting = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("error" in data) waiting?.reject(new Error(data.error));
      else waiting?.resolve(data.data);
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error(event.message || "the page may not start a worker"));
      this.waiting.clear();
    };
  }

  /** Load it, and compare it with Python; throws where it cannot be believed. The archive is unpacked while the scene is still awaited. */
  static async open(awaited: Scene | Promise<Scene>, archive: string): Promise<InPage> {
    const made = new InPage();
    const [scene] = await Promise.all([awaited, made.ask({ what: "unpack", archive })]);
    made.k = scene.k;
    const graph = scene.about.graph;
    if (graph === null) throw new Error(scene.about.why_no_model);
    const wanted = scene.floats("golden_f");
    const found = await made.ask({ what: "load", decode: graph.decode, encode: graph.encode, k: scene.k, golden: scene.floats("golden_z") });
    for (let i = 0; i < found.length; i += scene.k) {
      const [a, b] = [found.subarray(i, i + scene.k), wanted.subarray(i, i + scene.k)];
      const error = distance(a, b) / Math.max(Math.hypot(...b), 1e-12);
      if (!(error <= scene.about.agreement)) throw new Error(`the model in this page differs from Python's by ${error.toExponential(1)}`);
    }
    return made;
  }

  snap(z: Float32Array): Float32Array {
    return z;
  }

  async step(z: Float32Array, times: number): Promise<Next[]> {
    const found = await this.ask({ what: "step", z, times });
    return Array.from({ length: times }, (_, i) => ({ advanced: i + 1, z: found.slice(i * this.k, (i + 1) * this.k) }));
  }

  decode(z: Float32Array): Promise<Float32Array> {
    return this.ask({ what: "decode", z });
  }

  encode(x: Float32Array): Promise<Float32Array> {
    return this.ask({ what: "encode", z: x });
  }

  field(z: Float32Array): Promise<Float32Array> {
    return this.ask({ what: "field", z });
  }

  close(): void {
    this.worker.terminate();
  }

  private ask(question: Question): Promise<Float32Array> {
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ ...question, id } as Ask);
    });
  }
}
