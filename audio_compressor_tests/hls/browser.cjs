// Opens player.html in headless Chromium and plays each route given; prints what the page tells, as JSON.
// Arguments: the directory of node_modules, Chromium, the address of the page, the routes as JSON.
const path = require("node:path");

const [, , modules, executablePath, address, routes] = process.argv;
const { chromium } = require(path.join(modules, "playwright-core"));
const MOST_MILLISECONDS = 60_000;

async function main() {
  const browser = await chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--no-proxy-server"],
  });
  try {
    const told = [];
    for (const route of JSON.parse(routes)) {
      const page = await browser.newPage();
      page.setDefaultTimeout(MOST_MILLISECONDS);
      await page.goto(address);
      const timeout = new Promise((_, reject) => {
        setTimeout(() => reject(new Error(`${route} did not end`)), MOST_MILLISECONDS).unref();
      });
      told.push(await Promise.race([page.evaluate((names) => play(names), route), timeout]));
      await page.close();
    }
    console.log(JSON.stringify(told));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
