/** The living page at work: what a reader does with the plane, the orbit, the pictures and the table, and what the address remembers of it. */
import type { Backend } from "./backend/backend";
import { Turning } from "./backend/turning";
import * as address from "./core/address";
import { Fates, set_words, signed } from "./core/fate";
import { type Motion, Orbit } from "./core/orbit";
import { type Scene, toPicture } from "./core/scene";
import { Sheet } from "./core/sheet";
import { Beside } from "./views/beside";
import { PlaneChooser } from "./views/chooser";
import { ToleranceDial } from "./views/dial";
import { element, show } from "./views/dom";
import { Journey } from "./views/journey";
import { planeInput } from "./views/pointer";
import type { PlaneView } from "./views/plane";
import { Saving } from "./views/saving";
import { Starts } from "./views/starts";
import { percent, SetTable } from "./views/table";
import { Training } from "./views/training";

const [LATE, LONGEST_REST] = [25, 200]; // milliseconds

/** One of several in a training: its scene, and its model as soon as somebody asks for it. */
export interface Checkpoint {
  readonly scene: Scene;
  open(): Promise<Backend>;
}

export function livingPage(
  scene: Scene,
  opened: Backend,
  own: Sheet,
  view: PlaneView,
  remembered: address.Remembered,
  checkpoint: (at: number) => Promise<Checkpoint>,
): void {
  const backend = new Turning(opened);
  element("backend").textContent = backend.words;
  const fates = new Fates(scene);
  let motion: Motion = remembered.motion;
  let ready = false;
  const seen = (): address.Remembered => {
    const z = journey.orbit?.points[0]?.z;
    return {
      ...(z ? { z } : {}),
      ...(dial.radius === undefined ? {} : { radius: dial.radius }),
      ...(table.sorted ? { sort: table.sorted } : {}),
      ...(training.at === undefined ? {} : { at: training.at }),
      motion, plane: chooser.choice, look: view.look, chosen: view.chosen, filter: table.filtered,
    };
  };
  const remember = () => {
    if (!ready) return;
    if (parent === window) history.replaceState(null, "", address.write(seen()));
    saving.say();
  };
  const journey = new Journey(scene, backend, fates, () => {
    [view.orbit, view.at] = [journey.orbit, journey.at];
    view.draw();
  });
  const choose = (set: number, scroll: boolean) => {
    view.chosen = set;
    view.draw();
    table.select(set, scroll);
    show(element<HTMLCanvasElement>("here"), set < 0 ? undefined : scene.picture("set_images", set));
    element("here-words").textContent = set >= 0 ? set_words(scene.about.sets[set]!) : "move over the plane";
    remember();
  };
  const start = (z: Float32Array, play: boolean, picture?: Float32Array) => {
    const orbit = new Orbit(backend.snap(z), backend, fates, motion);
    const done = journey.follow(orbit, play).then(() => remember());
    void beside.follow(orbit, picture);
    return { orbit, done };
  };
  const table = new SetTable(scene, (set) => choose(set, false), remember);
  const chooser = new PlaneChooser(scene, backend, fates, view, own, remember);
  const dial = new ToleranceDial(scene, view, remember);
  const starts = new Starts(scene, backend, fates, (z, picture) => start(z, true, picture), (page) => beside.open(page));
  const beside = new Beside(scene, backend, journey);
  const training = new Training(scene, async (at, still) => {
    const other = await checkpoint(at);
    if (!still()) return false;
    const [z, chosen] = [journey.orbit?.points[0]?.z, scene.about.sets[view.chosen]?.name];
    journey.orbit?.cancel();
    scene.turn(other.scene);
    fates.renew();
    dial.renew();
    table.renew();
    view.chosen = -1;
    chooser.turn(Sheet.own(scene));
    element("fates").textContent = scene.about.fates;
    choose(scene.about.sets.findIndex((row) => row.name === chosen), false);
    void backend.turn(other.open()).then(() => {
      if (!still()) return;
      element("backend").textContent = backend.words;
      if (z) start(z, false); // the same start, and where it goes now
      remember();
    });
    return true;
  });
  const saving = new Saving(scene, view, seen, () => journey.orbit, () => table.order);

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
      const z = backend.snap(view.sheet.plane.lift(px, py));
      const decoded = scene.about.image ? await backend.decode(z) : undefined;
      const picture = decoded instanceof Float32Array ? toPicture(decoded, scene.about.image!, scene.about.range) : decoded;
      show(element<HTMLCanvasElement>("here"), picture);
      const basin = view.basinAt(px, py);
      const out = view.outOfPlane(px, py);
      const row = basin === undefined || basin < 0 ? undefined : scene.about.sets[basin];
      element("here-words").textContent = `(${signed(px.toFixed(2))}, ${signed(py.toFixed(2))})${row ? `; the computed start nearest to it goes to ${row.name}` : ""}${out === undefined ? "" : `; ${percent(out)} of the arrow points out of the plane`}`;
    }
    busy = false;
  };
  planeInput(view, journey, { start: (x, y, play) => start(view.sheet.plane.lift(x, y), play), hover, choose: (set) => choose(set, true) });

  for (const name of ["streamlines", "particles"] as const) {
    const box = element<HTMLInputElement>(name);
    box.checked = view.look[name];
    box.addEventListener("change", () => {
      view.look[name] = box.checked;
      view.drawBase();
      remember();
    });
  }
  for (const radio of document.querySelectorAll<HTMLInputElement>("input[name=motion]")) {
    radio.checked = radio.value === motion;
    radio.disabled = !backend.anywhere;
    radio.addEventListener("change", () => {
      motion = radio.value as Motion;
      const z = journey.orbit?.points[0]?.z;
      if (z) start(z, true);
      remember();
    });
  }

  // What moves for the eye alone leaves time for the rest: after a frame that was late it stands still for as long as that took.
  let [before, drifted, resting] = [performance.now(), performance.now(), 0];
  const seconds = (from: number, to: number) => Math.min(0.1, (to - from) / 1000);
  const frame = (now: number) => {
    if (now - before > LATE) resting = now + Math.min(now - before, LONGEST_REST);
    journey.tick(seconds(before, now));
    before = now;
    if (now >= resting && !journey.waiting) {
      view.drift(seconds(drifted, now));
      drifted = now;
    }
    beside.tick();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  if (remembered.plane.kind !== "own" || !scene.has("speed")) chooser.set(remembered.plane);
  if (remembered.radius !== undefined) dial.set(remembered.radius);
  table.restore(remembered.filter, remembered.sort);
  if (remembered.chosen >= 0) choose(remembered.chosen, true);
  if (remembered.z) start(remembered.z, false);
  ready = true;
  Object.assign(window, { separatrix: { scene, plane: own.plane, backend, start, journey, view, chooser, dial, starts, table, saving, beside, training } }); // for the browser tests and benchmarks
  document.documentElement.dataset["separatrix"] = "ready";
  performance.mark("separatrix-ready");
  // Not before all this has been on the screen once.
  requestAnimationFrame(() => setTimeout(() => {
    performance.mark("separatrix-shown");
    table.open();
    view.findStreamlines();
  }));
}
