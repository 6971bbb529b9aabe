const $ = (id) => document.getElementById(id);
const [canvas, crop] = [$("picture"), $("crop")];
const [ink, cropInk] = [canvas, crop].map((surface) => surface.getContext("2d", { willReadFrequently: true }));
const SIZE = crop.width;
const LARGEST = 16e6; // pixels; a larger photo is scaled down before its square is cut out
const CUT_OUT = 64; // pixels: as for `predict`, a smaller picture is a face that is cut out already
let session, ort, picture, square, framed, stream;
let turn = 0; // counts pictures and cameras, so that an answer that comes late is dropped

const say = (text) => { $("status").textContent = text; };

async function unpack(id) {
  const packed = Uint8Array.from(atob($(id).textContent), (c) => c.charCodeAt(0));
  $(id).remove();
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function load() {
  ort = await import(URL.createObjectURL(new Blob([await unpack("runtime")], { type: "text/javascript" })));
  ort.env.wasm.wasmBinary = await unpack("wasm");
  ort.env.wasm.numThreads = 1; // more need headers that a file does not have
  session = await ort.InferenceSession.create(await unpack("network"), { executionProviders: ["wasm"] });
  document.body.dataset.ready = "";
  say("The network is ready.");
}

// A picture to grey, a square of it to 48 x 48: as Pillow does it for `predict`, to the last bit.

function greyOf({ data, width, height }) {
  const values = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < values.length; i++, at += 4)
    values[i] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
  return { values, width, height };
}

function bicubic(x) {
  x = Math.abs(x);
  return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

function coefficients(start, length, available) {
  const scale = length / SIZE, filter = Math.max(scale, 1);
  return Array.from({ length: SIZE }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 * filter + 0.5)), end = Math.min(available, Math.trunc(centre + 2 * filter + 0.5));
    const weights = Array.from({ length: end - first }, (_, k) => bicubic((k + first - centre + 0.5) / filter));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((w) => Math.trunc((w / sum) * 2 ** 22 + (w < 0 ? -0.5 : 0.5))) };
  });
}

const rounded = (sum) => Math.min(255, Math.max(0, Math.floor((sum + 2 ** 21) / 2 ** 22)));

function cut(grey, { x, y, side }) {
  const across = coefficients(x, side, grey.width), down = coefficients(y, side, grey.height);
  const top = down[0].first, bottom = down[SIZE - 1].first + down[SIZE - 1].weights.length;
  const lines = new Uint8Array((bottom - top) * SIZE), face = new Uint8Array(SIZE * SIZE);
  for (let row = top; row < bottom; row++)
    across.forEach(({ first, weights }, i) => {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * grey.values[row * grey.width + first + k];
      lines[(row - top) * SIZE + i] = rounded(sum);
    });
  down.forEach(({ first, weights }, j) => {
    for (let i = 0; i < SIZE; i++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * lines[(first + k - top) * SIZE + i];
      face[j * SIZE + i] = rounded(sum);
    }
  });
  return face;
}

// The square, its crop, the answer.

// framed: whether the browser or the user chose the square, or the picture is a face as it is; else it is the middle of a photo.
function place(next, isFramed = true) {
  framed = isFramed;
  const { width, height } = canvas, side = Math.min(Math.max(next.side, 8), width, height);
  const inside = (value, most) => Math.min(Math.max(value, 0), most - side);
  square = { x: inside(next.x, width), y: inside(next.y, height), side };
  const share = (value, of) => `${(100 * value) / of}%`;
  Object.assign($("square").style, {
    left: share(square.x, width), top: share(square.y, height), width: share(side, width), height: share(side, height),
  });
  return answer();
}

let running = Promise.resolve();

function answer() {
  const mine = ++turn;
  running = running.then(() => mine === turn && compute()).catch((error) => say(`The network cannot answer: ${error.message}`));
  return running;
}

async function compute() {
  const face = cut(picture, square);
  const { probabilities } = await session.run({ faces: new ort.Tensor("uint8", face, [1, 1, SIZE, SIZE]) });
  const image = new ImageData(SIZE, SIZE);
  face.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  cropInk.putImageData(image, 0, 0);
  const bars = [...$("bars").children], values = [...probabilities.data];
  bars.forEach((bar, c) => {
    bar.dataset.probability = values[c];
    bar.querySelector(".bar").style.width = `${100 * values[c]}%`;
    bar.querySelector(".value").textContent = `${(100 * values[c]).toFixed(1)} %`;
  });
  const best = values.indexOf(Math.max(...values));
  const said = best < 0 ? "no answer" : `${bars[best].firstChild.textContent}, ${(100 * values[best]).toFixed(0)} %`;
  $("best").textContent = framed ? said : `No face is framed yet. The middle of the picture: ${said}`;
  $("answer").classList.toggle("unframed", !framed);
  $("answer").hidden = false;
}

// The face: found by the browser if it can, else framed by the user.

async function findFace() {
  const { width, height } = canvas, side = Math.min(width, height);
  const middle = { x: (width - side) / 2, y: (height - side) / 2, side };
  if (Math.max(width, height) <= CUT_OUT) return [middle, "So small a picture is taken for a face that is cut out."];
  if (!("FaceDetector" in window)) return [middle, "Drag a square around the face, tight from the eyebrows to the chin.", false];
  const faces = await new FaceDetector({ maxDetectedFaces: 20 }).detect(canvas).catch(() => []);
  if (!faces.length) return [middle, "No face was found. Drag a square around it, tight from the eyebrows to the chin.", false];
  const box = faces.map((face) => face.boundingBox).sort((a, b) => b.width * b.height - a.width * a.height)[0];
  const size = Math.max(box.width, box.height);
  const found = { x: box.x + (box.width - size) / 2, y: box.y + (box.height - size) / 2, side: size };
  return [found, faces.length > 1 ? `${faces.length} faces; the largest is framed. Drag a square around another.` : "One face was found."];
}

function paint(source, width, height) {
  const scale = Math.min(1, Math.sqrt(LARGEST / (width * height)));
  const size = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  ink.drawImage(source, 0, 0, ...size);
  picture = greyOf(ink.getImageData(0, 0, ...size));
  $("stage").hidden = false;
}

async function open(file) {
  stop();
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return say(`${file.name} cannot be read as a picture.`);
  }
  ink.clearRect(0, 0, canvas.width, canvas.height);
  paint(bitmap, bitmap.width, bitmap.height);
  const [found, text, isFramed] = await findFace();
  await place(found, isFramed);
  say(text);
}

// The camera.

async function start() {
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  try {
    video.srcObject = stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    await video.play();
  } catch (error) {
    stop();
    return say(`The camera cannot be used: ${error.message}. Choose a photo instead.`);
  }
  $("camera").setAttribute("aria-pressed", "true");
  $("camera").textContent = "Stop the camera";
  for (let first = true, mine = stream; stream === mine; first = false) {
    paint(video, video.videoWidth, video.videoHeight);
    if (first || "FaceDetector" in window) {
      const [found, text, isFramed] = await findFace();
      if (stream !== mine) return;
      say(text);
      await place(found, isFramed);
    } else await answer();
    await new Promise((done) => setTimeout(done, 100));
  }
}

function stop() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = undefined;
  $("camera").setAttribute("aria-pressed", "false");
  $("camera").textContent = "Use the camera";
}

// What the user does.

$("file").addEventListener("change", ({ target }) => target.files[0] && loaded.then(() => open(target.files[0])));
$("camera").addEventListener("click", () => loaded.then(() => (stream ? stop() : start())));
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) loaded.then(() => open(file));
});

const spot = (event) => {
  const box = canvas.getBoundingClientRect();
  return { x: ((event.clientX - box.x) * canvas.width) / box.width, y: ((event.clientY - box.y) * canvas.height) / box.height };
};

$("stage").addEventListener("pointerdown", (event) => {
  const from = spot(event), old = square;
  $("stage").setPointerCapture(event.pointerId);
  $("stage").onpointermove = (move) => {
    const to = spot(move), side = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y));
    place({ x: to.x < from.x ? from.x - side : from.x, y: to.y < from.y ? from.y - side : from.y, side });
  };
  $("stage").onpointerup = (up) => {
    const to = spot(up);
    $("stage").onpointermove = null;
    // A tap moves the square.
    if (Math.hypot(to.x - from.x, to.y - from.y) < 8) place({ x: from.x - old.side / 2, y: from.y - old.side / 2, side: old.side });
  };
});

$("stage").addEventListener("keydown", (event) => {
  const step = Math.max(1, Math.round(square.side / 20));
  const change = {
    ArrowLeft: [-step, 0, 0], ArrowRight: [step, 0, 0], ArrowUp: [0, -step, 0], ArrowDown: [0, step, 0],
    "+": [-step, -step, 2 * step], "=": [-step, -step, 2 * step], "-": [step, step, -2 * step],
  }[event.key];
  if (!change) return;
  event.preventDefault();
  place({ x: square.x + change[0], y: square.y + change[1], side: square.side + change[2] });
});

const loaded = load();
loaded.catch((error) => say(`This browser cannot run the network: ${error.message}`));
