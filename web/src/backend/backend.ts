/**
 * How a page evaluates the field. Three transports stand behind it: the model in the page, a server, a notebook; and orbits that were
 * computed beforehand, where there is no model. Everything is asynchronous and by value.
 */
import type { Fate } from "../core/fate";

export interface Next {
  /** Steps from the point that was asked about. */
  readonly advanced: number;
  readonly z: Float32Array;
}

/** For questions that take long. */
export interface Watch {
  /** Nobody waits for the answer any more. */
  readonly signal?: AbortSignal;
  /** Called with rows as they come, in their order. */
  readonly part?: (rows: Float32Array) => void;
}

/** A question that is cancelled has no answer: no points, or undefined. */
export interface Backend {
  /** Does it answer anywhere, or only at the nodes of what was computed beforehand? */
  readonly anywhere: boolean;
  /** In words, for readers. */
  readonly words: string;
  /** The nearest point from which it can step. */
  snap(z: Float32Array): Float32Array;
  /** The next `times` points of an orbit, or fewer; none where the orbit ends. */
  step(z: Float32Array, times: number, signal?: AbortSignal): Promise<Next[]>;
  /** D(z), flat; undefined where it is not known. */
  decode(z: Float32Array, signal?: AbortSignal): Promise<Float32Array | ImageData | undefined>;
  /** E(x); undefined where there is no encoder. */
  encode(x: Float32Array): Promise<Float32Array | undefined>;
  /** f at many points, (n·k). */
  field(z: Float32Array, watch?: Watch): Promise<Float32Array | undefined>;
  /** It is not asked any more. */
  close?(): void;
  /** How an orbit ended that has no further points. */
  ending?(z: Float32Array): Fate;
}
