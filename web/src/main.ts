/** The living page: reads what Python put in, shows it, and then wakes the model. */
import "./explorer.css";
import type { Backend } from "./backend/backend";
import { InPage } from "./backend/inpage";
import { Precomputed } from "./backend/precomputed";
import * as address from "./core/address";
import { Fates, set_words } from "./core/fate";
import { Orbit } from "./core/orbit";
import { Plane } from "./core/plane";
import { Scene, toPicture } from "./core/scene";
import { element, make, show } from "./views/dom";
import { Journey } from "./views/journey";
import { PlaneView } from "./views/plane";
import { percent, SetTable } from "./views/table";

async function inflated(id: string): Promise<Uint8Array | undefined> {
  const text = document.getElementById(id)?.textContent?.trim();
  if (!text) return undefined;
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function opened(scene: Scene, plane: Plane): Promise<Backend> {
  try {
    if (scene.about.graph === null) throw new Error(scene.about.why_no_model);
    const archive = await inflated("separatrix-model");
    if (archive === undefined) throw new Error("The page holds no model.");
    return await InPage.open(scene, archive);
  } catch (error) {
    return new Precomputed(scene, plane, (error as Error).message);
  }
}

async function begin(): Promise<void> {
  const bytes = await inflated("separatrix-scene");
  if (bytes === undefined) return;
  const scene = Scene.parse(bytes);
  const plane = new Plane(scene.floats("origin_z"), scene.floats("axes_z"), scene.k);
  document.documentElement.classList.add("live");
  const view = new PlaneView(scene, plane);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const remembered = address.read(location.hash, scene.k, { layer: "speed", streamlines: true, particles: !calm });
  view.look = remembered.look;
  view.resize();
  const fates = new Fates(scene);
  performance.mark("separatrix-seen");

  const backend = await opened(scene, plane);
  element("backend").textContent = backend.words;
  const remember = () => {
    const z = journey.orbit?.points[0]?.z;
    history.replaceState(null, "", address.write({ ...(z ? { z } : {}), look: view.look }));
  };
  const journey = new Journey(scene, backend, fates, () => {
    [view.orbit, view.at] = [journey.orbit, journey.at];
    view.draw();
  });
  const table = new SetTable(scene, (set) => choose(set, false));

  const choose = (set: number, scroll: boolean) => {
    view.chosen = set;
    view.draw();
    table.select(set, scroll);
    show(element<HTMLCanvasElement>("here"), set < 0 ? undefined : scene.picture("set_images", set));
    if (set >= 0) element("here-words").textContent = set_words(scene.about.sets[set]!);
  };
  const start = (z: Float32Array, play: boolean) => {
    const orbit = new Orbit(backend.snap(z), backend, fates);
    const done = journey.follow(orbit, play).then(() => remember());
    return { orbit, done };
  };

  // Hover: at most one picture is being decoded; the last place that was asked for comes next.
  let wanted: [number, number] | undefined;
  let busy = false;
  const hover = async (x: number, y: number) => {
    wanted = [x, y];
    if (busy) return;
    busy = true;
    while (wanted) {
      const [px, py] = wanted;
      wanted = undefined;
      const z = backend.snap(plane.lift(px, py));
      const decoded = scene.about.image ? await backend.decode(z) : undefined;
      const picture = decoded instanceof Float32Array ? toPicture(decoded, scene.about.image!, scene.about.range) : decoded;
      show(element<HTMLCanvasElement>("here"), picture);
      const basin = view.basinAt(px, py);
      const out = view.outOfPlane(px, py);
      const row = basin === undefined || basin < 0 ? undefined : scene.about.sets[basin];
      element("here-words").textContent = `(${px.toFixed(2)}, ${py.toFixed(2)})${row ? `; the computed start nearest to it goes to ${row.name}` : ""}${out === undefined ? "" : `; ${percent(out)} of the arrow points out of the plane`}`;
    }
    busy = false;
  };

  const canvas = view.canvas;
  const placed = (event: PointerEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let dragging = false;
  canvas.addEventListener("pointerdown", (event) => {
    const [px, py] = placed(event);
    const set = view.markAt(px, py);
    if (set >= 0) return choose(set, true);
    dragging = true;
    canvas.setPointerCapture(event.pointerId);
    view.cursor = undefined;
    start(plane.lift(...view.toPlane(px, py)), true);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = view.toPlane(...placed(event));
    void hover(x, y);
    if (dragging) start(plane.lift(x, y), false);
  });
  const release = (event: PointerEvent) => {
    if (!dragging) return;
    dragging = false;
    if (journey.orbit && event.type === "pointerup" && !journey.playing) start(plane.lift(...view.toPlane(...placed(event))), true);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);

  canvas.addEventListener("keydown", (event) => {
    const [left, right, bottom, top] = scene.about.plane.extent;
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
    } else if (event.key === "Enter" && view.cursor) start(plane.lift(...view.cursor), true);
    else if (event.key === " ") journey.toggle();
    else if (event.key === "." || event.key === ",") journey.go(journey.at + (event.key === "." ? 1 : -1));
    else return;
    event.preventDefault();
  });

  for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=layer]")) {
    radio.checked = radio.value === view.look.layer;
    radio.addEventListener("change", () => {
      view.look.layer = radio.value as "speed" | "basins";
      view.drawBase();
      remember();
    });
  }
  for (const name of ["streamlines", "particles"] as const) {
    const box = element<HTMLInputElement>(name);
    box.checked = view.look[name];
    box.addEventListener("change", () => {
      view.look[name] = box.checked;
      view.drawBase();
      remember();
    });
  }
  if (scene.about.image && scene.has("example_x") && backend.anywhere) examples(scene, backend, (z) => start(z, true));

  let before = performance.now();
  const frame = (now: number) => {
    const seconds = Math.min(0.1, (now - before) / 1000);
    before = now;
    journey.tick(seconds);
    view.drift();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  if (remembered.z) start(remembered.z, false);
  Object.assign(window, { separatrix: { scene, plane, backend, start, journey, view } }); // for the browser tests and benchmarks
  document.documentElement.dataset["separatrix"] = "ready";
  performance.mark("separatrix-ready");
  setTimeout(() => view.findStreamlines());
}

/** Images from which an orbit may start: x is encoded by the model in the page. */
function examples(scene: Scene, backend: Backend, start: (z: Float32Array) => void): void {
  const x = scene.floats("example_x");
  const size = x.length / scene.about.examples.length;
  element("examples").replaceChildren(
    ...scene.about.examples.map((name, i) => {
      const image = x.slice(i * size, (i + 1) * size);
      const canvas = make("canvas", { class: "pixels" });
      show(canvas, toPicture(image, scene.about.image!, scene.about.range));
      const button = make("button", { type: "button", title: `Start from ${name}` }, canvas, make("span", {}, name));
      button.addEventListener("click", () => void backend.encode(image).then((z) => z && start(z)));
      return make("li", {}, button);
    }),
  );
  element("examples-box").hidden = false;
}

void begin();
