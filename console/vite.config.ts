import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The built files land in the Python package, where the server and the wheel find them.
export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/gigawatt/console/dist",
    emptyOutDir: true,
    // A preload helper or an inlined asset would need exceptions from our own policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
  },
  server: { proxy: { "/gw": "http://127.0.0.1:8080" } },
});
