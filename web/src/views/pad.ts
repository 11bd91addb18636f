/** A pad to draw a picture on, in the model's own pixels, by pointer or keyboard. */
import { element } from "./dom";

export function drawingPad([, h, w]: readonly [number, number, number], drawn: (pixels: Uint8ClampedArray) => void): { clear(): void } {
  const pad = element<HTMLCanvasElement>("pad");
  [pad.width, pad.height] = [w, h];
  const to = pad.getContext("2d", { willReadFrequently: true })!;
  let pen: [number, number] = [w / 2, h / 2];
  const clear = () => {
    to.fillStyle = "#000000";
    to.fillRect(0, 0, w, h);
  };
  clear();
  const stroke = (x: number, y: number) => {
    to.strokeStyle = "#ffffff";
    to.lineWidth = Math.max(1, Math.min(w, h) / 12);
    [to.lineCap, to.lineJoin] = ["round", "round"];
    to.beginPath();
    to.moveTo(...pen);
    to.lineTo(x + 1e-3, y);
    to.stroke();
    pen = [x, y];
  };
  const finish = () => drawn(to.getImageData(0, 0, w, h).data);
  const placed = (event: PointerEvent): [number, number] => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * w, ((event.clientY - box.top) / box.height) * h];
  };
  let down = false;
  pad.addEventListener("pointerdown", (event) => {
    down = true;
    pad.setPointerCapture(event.pointerId);
    pen = placed(event);
    stroke(...pen);
  });
  pad.addEventListener("pointermove", (event) => down && stroke(...placed(event)));
  pad.addEventListener("pointerup", () => {
    if (down) finish();
    down = false;
  });
  pad.addEventListener("pointercancel", () => (down = false));
  pad.addEventListener("keydown", (event) => {
    const moves: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    const unit = Math.max(1, Math.min(w, h) / 28);
    if (move) {
      const next: [number, number] = [Math.min(w, Math.max(0, pen[0] + unit * move[0])), Math.min(h, Math.max(0, pen[1] + unit * move[1]))];
      if (event.shiftKey) stroke(...next);
      else pen = next;
      const percent = (value: number, of: number) => Math.round((100 * value) / of);
      pad.setAttribute("aria-description", `The pen is at ${percent(pen[0], w)} % from the left and ${percent(pen[1], h)} % from the top.`);
    } else if (event.key === "Enter") finish();
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
  });
  return { clear };
}
