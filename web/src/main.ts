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
import { type Checkpoint, livingPage } from "./page";
import { PlaneView } from "./views/plane";

async function opened(scene: Scene, plane: Plane, model: Promise<Backend> | undefined, nodes: Unpacked["nodes"], checkpoint?: number): Promise<Backend> {
  try {
    const live = document.getElementById("separatrix-live")?.textContent;
    if (live) {
      const { largest } = JSON.parse(live) as { largest: number };
      const framed = parent !== window; // in a notebook
      const words = `Orbits are computed by the model itself, ${framed ? "in the kernel of this notebook; if none begins, run the cell again" : "in the process that serves this page"}.`;
      return await Live.open(scene.k, largest, words, framed ? port : () => socket(checkpoint));
    }
    if (scene.about.graph === null) throw new Error(scene.about.why_no_model);
    if (model === undefined) throw new Error("The page holds no model.");
    return await model;
  } catch (error) {
    return new Precomputed(scene, plane, (error as Error).message, () => nodes(scene));
  }
}

interface Unpacked {
  parsed: Promise<Scene>;
  model(): Promise<Backend> | undefined;
  /** Brings the pictures of the nodes into a scene. */
  nodes(scene: Scene): Promise<void>;
}

/** What stands in the page of a checkpoint of a training; without a number, of the last one or of the only model. */
function unpacked(checkpoint = ""): Unpacked | undefined {
  const [packed, archive, nodes] = ["scene", "model", "nodes"].map((kind) => archived(document, `separatrix-${kind}${checkpoint && `-${checkpoint}`}`));
  if (packed === undefined) return undefined;
  const parsed = inflated(packed).then(Scene.parse);
  return {
    parsed,
    model: () => (archive === undefined ? undefined : InPage.open(parsed, archive)),
    nodes: async (scene) => (nodes === undefined ? undefined : scene.add(await inflated(nodes))),
  };
}

async function checkpoint(at: number): Promise<Checkpoint> {
  const { parsed, model, nodes } = unpacked(String(at)) ?? unpacked()!;
  const scene = await parsed;
  return { scene, open: () => opened(scene, Sheet.own(scene).plane, model(), nodes, at) };
}

async function begin(): Promise<void> {
  const found = unpacked(address.checkpoint(location.hash)) ?? unpacked();
  if (found === undefined) return;
  const model = found.model(); // in a thread of its own, while the plane is drawn
  const scene = await found.parsed;
  const own = Sheet.own(scene);
  const view = new PlaneView(scene, own);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const remembered = address.read(location.hash, scene.k, scene.about.sets.length, { layer: "speed", streamlines: true, particles: !calm });
  view.look = remembered.look;
  view.resize();
  performance.mark("separatrix-seen");
  livingPage(scene, await opened(scene, own.plane, model, found.nodes, scene.about.training?.at), own, view, remembered, checkpoint);
}

void begin();
