// The page's own engine, for benchmarks/explorer_engines.py.
import { kernels } from "../src/engine/memory";
import { Program } from "../src/engine/program";
import { parseSafetensors } from "../src/engine/safetensors";

Object.assign(window, { own: { kernels, Program, parseSafetensors } });
