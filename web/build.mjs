// Bundles both pages into the folder that is named, every file under a name that holds a hash of its content.
// `build.json` is written last: what it lists is what the gateway serves.
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { argv, exit } from "node:process";

import { build } from "esbuild";

const PAGES = { shop: "storefront", console: "console" };
const [target] = argv.slice(2);
if (target === undefined) {
  console.error("usage: node build.mjs FOLDER");
  exit(2);
}
await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });

const files = [];

async function keep(name, content) {
  await writeFile(join(target, name), content);
  files.push(name);
}

function hashed(stem, suffix, content) {
  return `${stem}-${createHash("sha256").update(content).digest("hex").slice(0, 12)}.${suffix}`;
}

const icon = await readFile("shared/icon.svg");
const iconName = hashed("icon", "svg", icon);
await keep(iconName, icon);

for (const [page, folder] of Object.entries(PAGES)) {
  const bundled = await build({
    entryPoints: { script: `${folder}/main.tsx`, style: `${folder}/style.css` },
    outdir: "out",
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: ["es2022"],
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
  });
  const names = { icon: iconName };
  for (const { path, contents } of bundled.outputFiles) {
    const kind = path.endsWith(".css") ? "style" : "script";
    names[kind] = hashed(page, kind === "style" ? "css" : "js", contents);
    await keep(names[kind], contents);
  }
  const html = await readFile(join(folder, "index.html"), "utf8");
  await keep(`${page}.html`, html.replace(/\{(\w+)\}/g, (_, name) => names[name]));
}
await writeFile(join(target, "build.json"), `${JSON.stringify({ files: files.sort() })}\n`);
