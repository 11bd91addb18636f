import { defineConfig } from "vite";

// What a notebook loads: a module of its own, beside the page's script.
export default defineConfig({
  build: {
    outDir: "../src/separatrix/explorer/static",
    emptyOutDir: false,
    target: "es2022",
    lib: { entry: "src/widget.ts", formats: ["es"], fileName: () => "widget.js" },
  },
});
