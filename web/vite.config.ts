import { defineConfig } from "vitest/config";

// One script and one style sheet with fixed names; Python puts them into pages. No date, no hash, no absolute path goes into them.
export default defineConfig({
  build: {
    outDir: "../src/separatrix/explorer/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    lib: { entry: "src/main.ts", name: "separatrixExplorer", formats: ["iife"], fileName: () => "explorer.js", cssFileName: "explorer" },
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
