import { describe, expect, it } from "vitest";
import { Live, type Wire } from "../src/backend/live";

/** A wire whose other end is the test. */
function wire() {
  const sent: DataView[] = [];
  const made: Wire = { send: (frame) => sent.push(new DataView(frame.buffer)), received: () => {}, closed: () => {} };
  const answer = (number: number, part: number, ...numbers: number[]) => {
    const frame = new ArrayBuffer(8 + 4 * numbers.length);
    const head = new DataView(frame);
    head.setUint32(0, number, true);
    head.setUint8(4, part);
    head.setUint8(5, 1);
    new Float32Array(frame, 8).set(numbers);
    made.received(frame);
  };
  const numbers = () => sent.map((one) => one.getUint32(0, true));
  return { made, sent, answer, numbers };
}

const z = Float32Array.of(1, 2);
const open = (end: ReturnType<typeof wire>) => Live.open(2, 8 + 16, "", () => Promise.resolve(end.made));
const sent = () => new Promise((done) => setTimeout(done)); // a question is sent as soon as the wire is known to be there

describe("a model elsewhere", () => {
  it("asks for steps, and gives as many as were answered", async () => {
    const end = wire();
    const backend = await open(end);
    const asked = backend.step(z, 3);
    await sent();
    const frame = end.sent[0]!;
    expect([frame.getUint8(4), frame.getUint8(5), frame.getUint16(6, true), frame.getFloat32(8, true), frame.getFloat32(12, true)]).toEqual([1, 1, 3, 1, 2]);
    end.answer(1, 0, 3, 4, 5, 6);
    expect(await asked).toEqual([
      { advanced: 1, z: Float32Array.of(3, 4) },
      { advanced: 2, z: Float32Array.of(5, 6) },
    ]);
  });

  it("puts the parts of an answer together, and shows them as they come", async () => {
    const end = wire();
    const backend = await open(end);
    const parts: number[][] = [];
    const asked = backend.field(Float32Array.of(1, 2, 3, 4, 5, 6), { part: (rows) => parts.push([...rows]) });
    await sent();
    end.answer(1, 1, 10, 20);
    end.answer(1, 0, 30, 40);
    await sent();
    expect(end.sent[1]!.byteLength).toBe(16); // no question is larger than the server allows
    end.answer(2, 0, 50, 60);
    expect([...(await asked)!]).toEqual([10, 20, 30, 40, 50, 60]);
    expect(parts).toEqual([[10, 20], [30, 40], [50, 60]]);
  });

  it("cancels what was sent, forgets what was not, and sends few at once", async () => {
    const end = wire();
    const backend = await open(end);
    const stop = new AbortController();
    const asked = Array.from({ length: 12 }, (_, i) => backend.step(z, 1, i % 2 ? stop.signal : undefined));
    await sent();
    expect(end.numbers()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    stop.abort();
    expect(await Promise.all(asked.filter((_, i) => i % 2))).toEqual(Array(6).fill([]));
    expect(end.sent.filter((one) => one.getUint8(4) === 5).length).toBe(4);
    expect(end.numbers()).toContain(9);
    expect(end.numbers()).toContain(11);
    expect(end.numbers()).not.toContain(10);
    end.answer(2, 0, 7, 7); // too late
    end.answer(1, 0, 8, 8);
    expect((await asked[0]!)[0]!.z[0]).toBe(8);
  });

  it("says why there is no answer, and opens a wire that was cut again", async () => {
    const [first, second] = [wire(), wire()];
    const ends = [first, second];
    const backend = await Live.open(2, 1000, "", () => (ends.length ? Promise.resolve(ends.shift()!.made) : Promise.reject(new Error("gone"))));
    const refused = backend.decode(z);
    await sent();
    const said = new TextEncoder().encode("No.");
    const frame = new Uint8Array(8 + said.length);
    frame.set([1, 0, 0, 0, 2, 1, 0, 0]);
    frame.set(said, 8);
    first.made.received(frame.buffer);
    expect(await refused).toBeUndefined();
    expect(backend.ending()).toEqual({ kind: "lost", why: "No." });
    const cut = backend.step(z, 1);
    await sent();
    first.made.closed();
    expect(await cut).toEqual([]);
    const again = backend.step(z, 1);
    await sent();
    second.answer(3, 0, 1, 1);
    expect((await again).length).toBe(1);
    second.made.closed();
    expect(await backend.step(z, 1)).toEqual([]);
    expect(backend.ending()).toEqual({ kind: "lost", why: "gone" });
  });
});
