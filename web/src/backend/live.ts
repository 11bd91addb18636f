/**
 * The model elsewhere: in a server, or in the kernel of a notebook. Questions and answers are frames of bytes (separatrix.explorer._answers); what
 * carries them is a `Wire`.
 */
import type { Fate } from "../core/fate";
import type { Backend, Next, Watch } from "./backend";

export interface Wire {
  send(frame: Uint8Array<ArrayBuffer>): void;
  /** Set by who uses it. */
  received: (frame: ArrayBuffer) => void;
  /** It carries nothing any more. */
  closed: () => void;
  /** Let it go, where that can be done. */
  close?: () => void;
}

const VERSION = 1;
const HEAD = 8;
const [STEP, DECODE, ENCODE, FIELD, CANCEL] = [1, 2, 3, 4, 5];
const [LAST, , ERROR] = [0, 1, 2];
/** Questions under way; the others wait here, where it costs nothing to forget them. */
const AT_ONCE = 8;

interface Question {
  readonly number: number;
  readonly frame: Uint8Array<ArrayBuffer>;
  readonly parts: Float32Array[];
  readonly part: (rows: Float32Array) => void;
  readonly done: (numbers: Float32Array | undefined) => void;
}

export class Live implements Backend {
  readonly anywhere = true;
  /** Why the last question had no answer. */
  private why = "";
  private wire: Wire | undefined;
  private opening: Promise<void> | undefined;
  private readonly asked = new Map<number, Question>();
  private waiting: Question[] = [];
  private last = 0;

  private constructor(
    private readonly k: number,
    private readonly largest: number,
    readonly words: string,
    private readonly open: () => Promise<Wire>,
  ) {}

  /** Rejected if nobody answers. */
  static async open(k: number, largest: number, words: string, open: () => Promise<Wire>): Promise<Live> {
    const made = new Live(k, largest, words, open);
    await made.connect();
    return made;
  }

  private async connect(): Promise<void> {
    const wire = await this.open();
    wire.received = (frame) => this.received(frame);
    wire.closed = () => this.lost();
    this.wire = wire;
  }

  snap(z: Float32Array): Float32Array {
    return z;
  }

  async step(z: Float32Array, times: number, signal?: AbortSignal): Promise<Next[]> {
    const found = (await this.ask(STEP, z, { times, signal })) ?? new Float32Array();
    return Array.from({ length: found.length / this.k }, (_, i) => ({ advanced: i + 1, z: found.slice(i * this.k, (i + 1) * this.k) }));
  }

  decode(z: Float32Array, signal?: AbortSignal): Promise<Float32Array | undefined> {
    return this.ask(DECODE, z, { signal });
  }

  encode(x: Float32Array): Promise<Float32Array | undefined> {
    return this.ask(ENCODE, x, {});
  }

  /** As many questions as it takes, one after the other. */
  async field(z: Float32Array, { signal, part }: Watch = {}): Promise<Float32Array | undefined> {
    const made = new Float32Array(z.length);
    const most = Math.floor((this.largest - HEAD) / 4 / this.k) * this.k;
    for (let i = 0; i < z.length; i += most) {
      const found = await this.ask(FIELD, z.subarray(i, i + most), { signal, part });
      if (found === undefined) return undefined;
      made.set(found, i);
    }
    return made;
  }

  ending(): Fate {
    return { kind: "lost", why: this.why };
  }

  close(): void {
    const wire = this.wire;
    this.lost();
    wire?.close?.();
  }

  private async ask(
    what: number,
    numbers: Float32Array,
    { times = 0, signal, part = () => {} }: { times?: number; signal?: AbortSignal | undefined; part?: ((rows: Float32Array) => void) | undefined },
  ): Promise<Float32Array | undefined> {
    if (signal?.aborted) return undefined;
    const number = (this.last = (this.last + 1) >>> 0);
    const frame = framed(number, what, times, numbers);
    return new Promise((done) => {
      this.waiting.push({ number, frame, parts: [], part, done });
      signal?.addEventListener("abort", () => this.cancel(number), { once: true });
      void this.hand();
    });
  }

  /** Send what may be sent; a wire that was cut is mended once, by the first question after that. */
  private async hand(): Promise<void> {
    if (this.wire === undefined) {
      try {
        await (this.opening ??= this.connect());
      } catch (error) {
        return this.lost((error as Error).message);
      } finally {
        this.opening = undefined;
      }
    }
    while (this.asked.size < AT_ONCE && this.waiting.length && this.wire !== undefined) {
      const question = this.waiting.shift()!;
      this.asked.set(question.number, question);
      this.wire.send(question.frame);
    }
  }

  private received(frame: ArrayBuffer): void {
    const head = new DataView(frame);
    const question = this.asked.get(head.getUint32(0, true));
    if (question === undefined) return;
    const kind = head.getUint8(4);
    if (kind === ERROR) {
      this.why = new TextDecoder().decode(frame.slice(HEAD));
      return this.finish(question, undefined);
    }
    const numbers = new Float32Array(frame.slice(HEAD));
    question.parts.push(numbers);
    question.part(numbers);
    if (kind === LAST) this.finish(question, question.parts.length === 1 ? numbers : joined(question.parts));
  }

  private finish(question: Question, answer: Float32Array | undefined): void {
    this.asked.delete(question.number);
    question.done(answer);
    queueMicrotask(() => void this.hand()); // who cancels many is to have cancelled all before more are sent
  }

  private cancel(number: number): void {
    const question = this.asked.get(number) ?? this.waiting.find((one) => one.number === number);
    if (question === undefined) return;
    this.waiting = this.waiting.filter((one) => one !== question);
    if (this.asked.has(number)) this.wire?.send(framed(number, CANCEL, 0, new Float32Array()));
    this.finish(question, undefined);
  }

  private lost(why = "Nobody answers any more: the process that served this page has ended."): void {
    this.wire = undefined;
    this.why = why;
    const left = [...this.asked.values(), ...this.waiting];
    this.asked.clear();
    this.waiting = [];
    for (const question of left) question.done(undefined);
  }
}

function framed(number: number, what: number, times: number, numbers: Float32Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEAD + numbers.byteLength);
  const head = new DataView(frame.buffer);
  head.setUint32(0, number, true);
  head.setUint8(4, what);
  head.setUint8(5, VERSION);
  head.setUint16(6, times, true);
  frame.set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength), HEAD);
  return frame;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const made = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    made.set(part, at);
    at += part.length;
  }
  return made;
}
