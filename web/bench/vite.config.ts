import { defineConfig } from "vite";

export default defineConfig({
  root: __dirname,
  build: { outDir: "dist", lib: { entry: "own.ts", name: "ownBundle", formats: ["iife"], fileName: () => "own.js" } },
});
