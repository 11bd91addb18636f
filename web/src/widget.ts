/**
 * The living page as the output of a notebook's cell (separatrix.explorer.widget): the whole page in a frame of its own, so that neither its style nor its
 * names meet those of the notebook, and its frames of bytes handed on to the kernel.
 */
interface Model {
  get(name: string): unknown;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  on(name: string, callback: (content: { view?: number }, buffers: (DataView | ArrayBuffer)[]) => void): void;
  off(name: string, callback: (content: { view?: number }, buffers: (DataView | ArrayBuffer)[]) => void): void;
}

let views = 0;

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const view = ++views;
  const frame = document.createElement("iframe");
  frame.title = "separatrix explorer";
  frame.setAttribute("sandbox", "allow-scripts allow-downloads");
  frame.style.cssText = `width: 100%; height: ${Number(model.get("height"))}px; border: 0`;
  const { port1: ours, port2: theirs } = new MessageChannel();
  ours.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => model.send({ view }, undefined, [data]);
  const answered = (content: { view?: number }, buffers: (DataView | ArrayBuffer)[]) => {
    if (content.view !== view) return;
    for (const one of buffers) {
      const bytes = one instanceof ArrayBuffer ? new Uint8Array(one) : new Uint8Array(one.buffer, one.byteOffset, one.byteLength);
      const copy = bytes.slice().buffer as ArrayBuffer;
      ours.postMessage(copy, [copy]);
    }
  };
  const asked = ({ data, source }: MessageEvent) => {
    if (source !== frame.contentWindow || data !== "separatrix") return;
    removeEventListener("message", asked);
    frame.contentWindow!.postMessage("separatrix", "*", [theirs]);
  };
  addEventListener("message", asked);
  model.on("msg:custom", answered);
  frame.srcdoc = String(model.get("page"));
  el.append(frame);
  return () => {
    removeEventListener("message", asked);
    model.off("msg:custom", answered);
    ours.close();
    frame.remove();
  };
}

export default { render };
