// Compiles kernels/index.ts to WebAssembly and writes it as a module of base64: a page from file:// can fetch nothing.
import asc from "assemblyscript/asc";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const made = {};
const { error, stderr } = await asc.main(
  ["index.ts", "--outFile", "kernels.wasm", "-O3", "--noAssert", "--runtime", "stub", "--enable", "simd", "--importMemory"],
  { readFile: (name) => { try { return readFileSync(at(`../kernels/${name}`), "utf8"); } catch { return null; } },
    writeFile: (name, content) => { made[name] = content; }, listFiles: () => [] },
);
if (error) { console.error(stderr.toString()); process.exit(1); }
const text = `// Made from kernels/index.ts by scripts/kernels.mjs.\nexport const WASM = "${Buffer.from(made["kernels.wasm"]).toString("base64")}";\n`;
writeFileSync(at("../src/engine/wasm.ts"), text);
