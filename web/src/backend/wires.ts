/** What carries frames: a socket to the server that served the page, or a port to the cell of a notebook that shows it. */
import type { Wire } from "./live";

const PATIENCE = 10_000; // milliseconds until nobody is believed to be there

/** The socket beside the page, at which a checkpoint of a training answers. */
export function socket(checkpoint: number | undefined): Promise<Wire> {
  const at = new URL("socket", location.href);
  at.protocol = "ws:";
  at.hash = "";
  at.search = checkpoint === undefined ? "" : `checkpoint=${checkpoint}`;
  const made = new WebSocket(at);
  made.binaryType = "arraybuffer";
  const wire: Wire = { send: (frame) => made.send(frame), received: () => {}, closed: () => {}, close: () => made.close() };
  return new Promise((resolve, reject) => {
    const given = setTimeout(() => made.close(), PATIENCE);
    made.onopen = () => {
      clearTimeout(given);
      resolve(wire);
    };
    made.onmessage = ({ data }) => wire.received(data as ArrayBuffer);
    made.onclose = () => {
      clearTimeout(given);
      reject(new Error("Nobody answers: the process that served this page has ended."));
      wire.closed();
    };
  });
}

/** The port that the cell hands over (src/widget.ts); its first message says that a kernel is there. */
export function port(): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const given = setTimeout(() => reject(new Error("No kernel answers: run the cell again.")), PATIENCE);
    const handed = ({ data, ports, source }: MessageEvent) => {
      const [made] = ports;
      if (source !== parent || data !== "separatrix" || made === undefined) return;
      removeEventListener("message", handed);
      clearTimeout(given);
      const wire: Wire = { send: (frame) => made.postMessage(frame.buffer, [frame.buffer]), received: () => {}, closed: () => {} };
      made.onmessage = (event: MessageEvent<ArrayBuffer>) => wire.received(event.data);
      resolve(wire);
    };
    addEventListener("message", handed);
    parent.postMessage("separatrix", "*");
  });
}
