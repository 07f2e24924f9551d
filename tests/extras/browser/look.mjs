// Opens pages in headless Chromium as a phone, a laptop and on A4 paper, light and dark, and prints what is wrong as JSON.
// Arguments: the browser's executable, a folder for pictures, then files.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, pictures, ...files] = process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const VIEWS = [
  { name: "phone", width: 390, height: 844, media: "screen" },
  { name: "laptop", width: 1366, height: 768, media: "screen" },
  { name: "a4", width: 718, height: 1123, media: "print" }, // 210 mm less margins of 10 mm, at 96 dots an inch
];
const found = [];

function outOfPlace() {
  // Text of a chart beyond its frame, or over other text of it.
  const out = [];
  for (const chart of document.querySelectorAll("svg")) {
    const frame = chart.getBoundingClientRect();
    if (!frame.width) continue;
    const texts = [...chart.querySelectorAll("text")].map((one) => [one.textContent, one.getBoundingClientRect()])
      .filter(([, box]) => box.width && box.height);
    for (const [text, box] of texts)
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        out.push(`outside its chart: ${text}`);
    for (let i = 0; i < texts.length; i++)
      for (let j = i + 1; j < texts.length; j++) {
        const [a, b] = [texts[i][1], texts[j][1]];
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
          out.push(`one over the other: ${texts[i][0]} | ${texts[j][0]}`);
      }
  }
  return out;
}

const browser = await chromium.launch({ executablePath, args });
for (const file of files)
  for (const view of VIEWS)
    for (const colorScheme of view.media === "print" ? ["light"] : ["light", "dark"]) {
      const where = `${path.basename(file)}, ${view.name}, ${colorScheme}`;
      const say = (what) => found.push(`${where}: ${what}`);
      const viewport = { width: view.width, height: view.height };
      // As a reader has it: with its own policy.
      let context = await browser.newContext({ viewport, colorScheme });
      let page = await context.newPage();
      const url = pathToFileURL(file).href;
      page.on("request", (request) => request.url() === url || say(`asks for ${request.url()}`));
      page.on("console", (message) => say(`console ${message.type()}: ${message.text()}`));
      page.on("pageerror", (error) => say(`error: ${error.message}`));
      await page.emulateMedia({ media: view.media, colorScheme });
      await page.goto(url);
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
      if (wide > room) say(`${wide} px wide in ${room}`);
      for (const what of await page.evaluate(outOfPlace)) say(what);
      const picture = path.join(pictures, `${path.basename(file, ".html")}-${view.name}-${colorScheme}`);
      await page.screenshot({ path: `${picture}.png`, fullPage: true });
      if (view.media === "print") await page.pdf({ path: `${picture}.pdf`, preferCSSPageSize: true, printBackground: true });
      await context.close();
      // Once more for axe, which the page's policy would keep out.
      context = await browser.newContext({ viewport, colorScheme, bypassCSP: true });
      page = await context.newPage();
      await page.emulateMedia({ media: view.media, colorScheme });
      await page.goto(url);
      await page.addScriptTag({ content: axe });
      const told = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      for (const each of told.violations) say(`axe ${each.id}: ${each.nodes[0].html.slice(0, 160)}`);
      await context.close();
    }
await browser.close();
process.stdout.write(JSON.stringify(found));
