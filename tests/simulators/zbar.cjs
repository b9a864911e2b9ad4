// Reads every code of a picture as ZBar does. Arguments: width, height; standard input: one grey byte a pixel.
// Output: a JSON list of what the codes say.
delete globalThis.fetch; // else the package takes Node for a browser and asks the web for its own file
const { readFileSync } = require("node:fs");
const { scanGrayBuffer } = require("zbar.wasm");

const grey = readFileSync(0);
const pixels = grey.buffer.slice(grey.byteOffset, grey.byteOffset + grey.length);
scanGrayBuffer(pixels, Number(process.argv[2]), Number(process.argv[3])).then((symbols) => {
  console.log(JSON.stringify(symbols.map((symbol) => symbol.decode())));
});
