// The emotion model of @vladmandic/human about faces that are cut out, for benchmarks/against_peers.py.
//
//     node human.mjs FOLDER PICTURES OUT
//
// FOLDER holds node_modules, PICTURES holds PNG files. Human itself always looks for a face first. Here its emotion model gets each picture as
// Human gives it a face that it found (its src/gear/emotion.ts: scaled to the model's size, grey by Human's weights, -1 to 1), one at a time as
// Human does, on the WASM backend. OUT is JSON: classes, probabilities in the order of the names, the seconds from the first picture to the last
// answer, and the bytes of the weights.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const CLASSES = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
const GREY = [0.2989, 0.587, 0.114];

const [folder, pictures, out] = process.argv.slice(2);
const modules = resolve(folder, 'node_modules');
const package_folder = join(modules, '@vladmandic', 'human');
const require = createRequire(join(modules, 'any.js'));
const { PNG } = require('pngjs');
const { Human } = require(join(package_folder, 'dist', 'human.node-wasm.js'));

// Node's own fetch reads no files.
globalThis.fetch = async (url) => new Response(readFileSync(new URL(url)));

const human = new Human({ backend: 'wasm', wasmPath: `${join(modules, '@tensorflow', 'tfjs-backend-wasm', 'dist')}/` });
await human.init();
const { tf } = human;
const weights = join(package_folder, 'models', 'emotion.bin');
const model = await tf.loadGraphModel(pathToFileURL(weights.replace('.bin', '.json')).href);
const size = model.inputs[0].shape[2];

function answer(path) {
  return tf.tidy(() => {
    const colours = tf.div(tf.expandDims(tf.browser.fromPixels(PNG.sync.read(readFileSync(path)))), 255);
    const grey = tf.sum(tf.mul(tf.image.resizeBilinear(colours, [size, size]), GREY), 3, true);
    return [...model.execute(tf.mul(tf.sub(grey, 0.5), 2)).dataSync()];
  });
}

const names = readdirSync(pictures).sort();
const start = performance.now();
const used = process.cpuUsage();
const probabilities = names.map((name) => answer(join(pictures, name)));
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(used);
const about = `@vladmandic/human ${human.version}, tfjs ${tf.version['tfjs-core']}, backend ${tf.getBackend()}, Node ${process.version}`;
const said = { classes: CLASSES, probabilities, about, bytes: statSync(weights).size, seconds, cpu: (user + system) / 1e6 };
writeFileSync(out, JSON.stringify(said));
