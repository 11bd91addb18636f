/** The living page: reads what Python put in, shows it, and then wakes the model. */
import "./explorer.css";
import type { Backend } from "./backend/backend";
import { InPage } from "./backend/inpage";
import { Live } from "./backend/live";
import { Precomputed } from "./backend/precomputed";
import { port, socket } from "./backend/wires";
import * as address from "./core/address";
import { archived, inflated } from "./core/archive";
import type { Plane } from "./core/plane";
import { Scene } from "./core/scene";
import { Sheet } from "./core/sheet";
import { livingPage } from "./page";
import { PlaneView } from "./views/plane";

async function opened(scene: Scene, plane: Plane, model: Promise<Backend> | undefined): Promise<Backend> {
  try {
    const live = document.getElementById("separatrix-live")?.textContent;
    if (live) {
      const { largest } = JSON.parse(live) as { largest: number };
      const framed = parent !== window; // in a notebook
      const words = `Orbits are computed by the model itself, ${framed ? "in the kernel of this notebook; if none begins, run the cell again" : "in the process that serves this page"}.`;
      return await Live.open(scene.k, largest, words, framed ? port : socket);
    }
    if (scene.about.graph === null) throw new Error(scene.about.why_no_model);
    if (model === undefined) throw new Error("The page holds no model.");
    return await model;
  } catch (error) {
    return new Precomputed(scene, plane, (error as Error).message);
  }
}

async function begin(): Promise<void> {
  const packed = archived(document, "separatrix-scene");
  if (packed === undefined) return;
  const parsed = inflated(packed).then(Scene.parse);
  const archive = archived(document, "separatrix-model");
  const model = archive && InPage.open(parsed, archive); // in a thread of its own, while the plane is drawn
  const scene = await parsed;
  const own = Sheet.own(scene);
  const view = new PlaneView(scene, own);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const remembered = address.read(location.hash, scene.k, scene.about.sets.length, { layer: "speed", streamlines: true, particles: !calm });
  view.look = remembered.look;
  view.resize();
  performance.mark("separatrix-seen");
  livingPage(scene, await opened(scene, own.plane, model || undefined), own, view, remembered);
}

void begin();
