// Draws a Plotly figure and redraws it on the same node, so that zoom, legend choices and focus outlive a refresh.
// plotly.js is loaded once per browser page, whatever the number of figures and reruns.

const decoder = new TextDecoder();
let library = null;

function plotly(path) {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(path, window.location.origin).href;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      library = null; // the next refresh tries again
      script.remove();
      reject(new Error("plotly.js did not load"));
    };
    document.head.appendChild(script);
  });
  return library;
}

function download(state, format) {
  const { width, height } = state.plot.getBoundingClientRect();
  return window.Plotly.downloadImage(state.plot, {
    format,
    filename: state.wanted.filename,
    width: Math.round(width),
    height: Math.round(height),
    scale: format === "png" ? 2 : 1,
  });
}

function config(state) {
  return {
    displaylogo: false,
    edits: { shapePosition: Boolean(state.wanted.pick) },
    showSendToCloud: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "png", filename: state.wanted.filename, scale: 2 },
    modeBarButtonsToAdd: [
      {
        name: "toSvg",
        title: "Download plot as an SVG",
        icon: window.Plotly.Icons.disk,
        click: () => download(state, "svg"),
      },
    ],
  };
}

function button(state, format, words) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = format.toUpperCase();
  made.onclick = () => state.drawn && download(state, format);
  made.dataset.words = words;
  return made;
}

function build(parent) {
  const frame = document.createElement("div");
  frame.className = "live-figure";
  const plot = document.createElement("div");
  plot.className = "live-figure-plot";
  const word = document.createElement("p");
  word.className = "live-figure-word";
  word.textContent = "Drawing …";
  const tools = document.createElement("div");
  tools.className = "live-figure-tools";
  const state = { plot, word, frame, wanted: null, drawn: false, held: false, late: false, away: false, width: 0 };
  state.buttons = [button(state, "png", "as a PNG image"), button(state, "svg", "as an SVG image")];
  tools.append(...state.buttons);
  frame.append(word, plot, tools);
  parent.append(frame);
  state.observer = new ResizeObserver(() => {
    const width = Math.round(frame.clientWidth);
    if (state.away && frame.isConnected) draw(state);
    else if (state.drawn && width && width !== state.width) {
      state.width = width;
      window.Plotly.Plots.resize(plot);
    }
  });
  state.observer.observe(frame);
  holdStill(state);
  return state;
}

// A redraw under a dragging pointer would end the drag: it waits until the pointer lets go.
function holdStill(state) {
  state.plot.addEventListener("pointerdown", () => { state.held = true; }, { capture: true });
  state.letGo = () => {
    if (!state.held) return;
    setTimeout(() => { // after plotly.js has acted on the release
      state.held = false;
      if (state.late) draw(state);
    }, 50);
  };
  for (const event of ["pointerup", "pointercancel"]) window.addEventListener(event, state.letGo, { capture: true });
}

// The page's own face first; an exported image, which cannot load it, falls back to the figure's.
function fonts(state, layout) {
  const own = getComputedStyle(state.frame).fontFamily.split(",")[0];
  return [own, layout.font?.family ?? layout.template?.layout?.font?.family ?? "sans-serif"].join(", ");
}

// The drawing is one image with one name; plotly.js spreads it over several layers.
function name(state) {
  state.plot.querySelectorAll("svg.main-svg").forEach((layer, index) => {
    if (index === 0) {
      layer.setAttribute("role", "img");
      layer.setAttribute("aria-label", state.wanted.label);
    } else {
      layer.setAttribute("aria-hidden", "true");
    }
  });
  for (const made of state.buttons) made.setAttribute("aria-label", `Download ${state.wanted.title} ${made.dataset.words}`);
}

// Where a person points at the drawing, or drops a shape that may be dragged: the page hears of it as "picked".
function listen(state) {
  const tell = (x, y) => {
    if (Number.isFinite(x) && Number.isFinite(y)) state.pick("picked", { x, y });
  };
  state.plot.on("plotly_click", ({ points }) => tell(Number(points[0]?.x), Number(points[0]?.y)));
  state.plot.on("plotly_relayout", (change) => {
    const moved = Object.keys(change).map((name) => /^shapes\[(\d+)\]\./.exec(name)).find(Boolean);
    const shape = moved && state.plot.layout.shapes[Number(moved[1])];
    if (shape) tell(Number(shape.xanchor), Number(shape.yanchor));
  });
}

async function draw(state) {
  const wanted = state.wanted;
  state.plot.style.minHeight = `${wanted.figure.layout.height ?? 360}px`;
  try {
    const Plotly = await plotly(wanted.library);
    if (state.wanted !== wanted) return; // a newer one came while the library loaded
    state.away = !state.frame.isConnected;
    if (state.away) return; // not on the page yet, or for a moment: its observer hears of it when it is
    state.late = state.held;
    if (state.late) return;
    const layout = { uirevision: "kept", ...wanted.figure.layout, autosize: true };
    layout.font = { ...layout.font, family: fonts(state, layout) };
    delete layout.width;
    // The config once only: one that differs, be it by a function, would make the plot anew and forget the zoom.
    const once = state.drawn ? [] : [config(state)];
    await Plotly.react(state.plot, wanted.figure.data, layout, ...once);
    if (wanted.pick && !state.drawn) listen(state);
    state.drawn = true;
    state.width = Math.round(state.frame.clientWidth);
    state.word.hidden = true;
    state.plot.dataset.version = wanted.version;
    name(state);
  } catch (error) {
    state.word.hidden = false;
    state.word.textContent = `This figure could not be drawn in the browser: ${error.message}. Reload the page.`;
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const state = (parentElement.liveFigure ??= build(parentElement));
  state.pick = setTriggerValue;
  const wanted = JSON.parse(decoder.decode(data));
  if (wanted.version !== state.wanted?.version) {
    state.wanted = wanted;
    draw(state);
  }
  // Streamlit also calls this for a refresh that a newer one overtook, with the figure still on the page: keep it then.
  return () =>
    setTimeout(() => {
      if (parentElement.isConnected || parentElement.liveFigure !== state) return;
      state.observer.disconnect();
      for (const event of ["pointerup", "pointercancel"]) window.removeEventListener(event, state.letGo, { capture: true });
      if (state.drawn) window.Plotly.purge(state.plot);
      state.frame.remove(); // the place may be used again, and would then have an empty figure above the new one
      parentElement.liveFigure = undefined;
    });
}
