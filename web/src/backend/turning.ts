/** The backend of the checkpoint that is shown: questions wait until its model is there, and none is answered by another one. */
import type { Fate } from "../core/fate";
import type { Backend, Next, Watch } from "./backend";

export class Turning implements Backend {
  private ready: Promise<Backend>;

  constructor(private now: Backend) {
    this.ready = Promise.resolve(now);
  }

  /** The checkpoint of this backend is shown from now on; of one that was left before it came nothing is kept. */
  async turn(coming: Promise<Backend>): Promise<void> {
    const left = this.now;
    this.ready = coming;
    const came = await coming;
    if (this.ready !== coming) return came.close?.();
    this.now = came;
    left.close?.();
  }

  get anywhere(): boolean {
    return this.now.anywhere;
  }

  get words(): string {
    return this.now.words;
  }

  snap(z: Float32Array): Float32Array {
    return this.now.snap(z);
  }

  async step(z: Float32Array, times: number, signal?: AbortSignal): Promise<Next[]> {
    return (await this.ready).step(z, times, signal);
  }

  async decode(z: Float32Array, signal?: AbortSignal): Promise<Float32Array | ImageData | undefined> {
    return (await this.ready).decode(z, signal);
  }

  async encode(x: Float32Array): Promise<Float32Array | undefined> {
    return (await this.ready).encode(x);
  }

  async field(z: Float32Array, watch?: Watch): Promise<Float32Array | undefined> {
    return (await this.ready).field(z, watch);
  }

  ending(z: Float32Array): Fate {
    return this.now.ending?.(z) ?? { kind: "budget" };
  }
}
