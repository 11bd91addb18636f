/** The pointer and the keyboard over the plane. */
import type { Journey } from "./journey";
import type { PlaneView } from "./plane";

export interface Acts {
  start(x: number, y: number, play: boolean): void;
  hover(x: number, y: number): Promise<void>;
  choose(set: number): void;
}

export function planeInput(view: PlaneView, journey: Journey, { start, hover, choose }: Acts): void {
  const canvas = view.canvas;
  const placed = (event: PointerEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let dragging = false;
  canvas.addEventListener("pointerdown", (event) => {
    const [px, py] = placed(event);
    const set = view.markAt(px, py);
    if (set >= 0) return choose(set);
    dragging = true;
    canvas.setPointerCapture(event.pointerId);
    view.cursor = undefined;
    start(...view.toPlane(px, py), true);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = view.toPlane(...placed(event));
    void hover(x, y);
    if (dragging) start(x, y, false);
  });
  const release = (event: PointerEvent) => {
    if (!dragging) return;
    dragging = false;
    if (journey.orbit && event.type === "pointerup" && !journey.playing) start(...view.toPlane(...placed(event)), true);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);

  canvas.addEventListener("keydown", (event) => {
    const [left, right, bottom, top] = view.sheet.extent;
    const fine = event.shiftKey ? 0.2 : 1;
    const moves: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const move = moves[event.key];
    if (move) {
      const [x, y] = view.cursor ?? [(left + right) / 2, (bottom + top) / 2];
      view.cursor = [
        Math.min(right, Math.max(left, x + (move[0] * fine * (right - left)) / 40)),
        Math.min(top, Math.max(bottom, y + (move[1] * fine * (top - bottom)) / 40)),
      ];
      void hover(...view.cursor);
      view.draw();
    } else if (event.key === "Enter" && view.cursor) start(...view.cursor, true);
    else if (event.key === " ") journey.toggle();
    else if (event.key === "." || event.key === ",") journey.go(journey.at + (event.key === "." ? 1 : -1));
    else return;
    event.preventDefault();
  });
}
