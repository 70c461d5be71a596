// The interactive map of a sector: Leaflet over the packaged base, no request beyond this folder.
"use strict";
(() => {
  const data = globalThis.frontlineMap;
  const base = globalThis.frontlineBase;
  const live = document.getElementById("live");
  if (!globalThis.L || !data || !base || !live) return;
  const part = (name) => document.getElementById(`live-${name}`);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  live.hidden = false;
  live.classList.toggle("inverted", data.inverted);

  const map = L.map("live-map", {
    zoomSnap: 0.25,
    maxZoom: 14,
    maxBounds: L.latLngBounds(data.bounds).pad(0.6),
    scrollWheelZoom: false,
    attributionControl: false,
    zoomAnimation: !still,
    fadeAnimation: !still,
  });
  part("credit").textContent = `${data.credit} Base map: ${base.credit}.`;
  map.fitBounds(data.bounds);
  map.setMinZoom(map.getZoom() - 1);

  // Text from data is set as text, never as HTML.
  const words = (text) => {
    const element = document.createElement("span");
    element.textContent = text;
    return element;
  };
  const speak = (layer, text) => {
    layer.bindTooltip(words(text), { sticky: true });
    layer.on("add", () => {
      const element = layer.getElement();
      element.setAttribute("tabindex", "0");
      element.setAttribute("role", "img");
      element.setAttribute("aria-label", text);
      element.addEventListener("focus", () => layer.openTooltip());
      element.addEventListener("blur", () => layer.closeTooltip());
    });
    return layer;
  };
  const rings = (polygons) => polygons.map((numbers) => numbers.map((n) => data.rings[n]));

  // The base.
  L.polygon(base.land, {
    interactive: false, stroke: true, color: "#9d968b", weight: 0.5, fillColor: "#f4f1ea", fillOpacity: 1,
  }).addTo(map);

  // Loss is hatched, as on the still map: its grey is that of gain.
  const hatch = () => {
    const svg = live.querySelector(".leaflet-overlay-pane svg");
    if (!svg || svg.querySelector("pattern")) return;
    svg.insertAdjacentHTML("afterbegin",
      '<defs><pattern id="live-hatch" width="6" height="6" patternUnits="userSpaceOnUse" ' +
      'patternTransform="rotate(45)"><rect width="6" height="6" fill="#e4eef5"></rect>' +
      '<rect width="2.5" height="6" fill="#2878b5"></rect></pattern></defs>');
  };

  const held = { interactive: false, color: "#1f1c19", weight: 2, fillOpacity: 1,
    fillColor: data.inverted ? "#bcd4e8" : "#e6d3c3" };
  const looks = {
    gained: { color: "#7a2308", weight: 1, fillColor: "#c8431b", fillOpacity: 1 },
    lost: { color: "#12476f", weight: 1, fillColor: "url(#live-hatch)", fillOpacity: 1 },
  };
  const groups = {};
  for (const name of ["ground", "change", "before", "borders", "places"]) {
    groups[name] = L.layerGroup().addTo(map);
    part(name).addEventListener("change", (event) => {
      groups[name][event.target.checked ? "addTo" : "removeFrom"](map);
      order();
    });
  }
  // A layer that is switched on again would lie on top of those it belongs below.
  const order = () => {
    for (const name of ["ground", "change", "before", "borders", "frame", "places"]) {
      if (groups[name] && map.hasLayer(groups[name])) {
        groups[name].eachLayer((layer) => layer.bringToFront && layer.bringToFront());
      }
    }
  };

  L.polyline(base.oblasts, { interactive: false, color: "#8f887d", weight: 1, dashArray: "4 4" })
    .addTo(groups.borders);
  L.polyline(base.border, { interactive: false, color: "#6b645b", weight: 2 }).addTo(groups.borders);
  groups.frame = L.layerGroup([
    L.polygon(data.frame, { interactive: false, fill: false, color: "#5b554e", weight: 1.5 }),
  ]).addTo(map);
  L.polygon(rings(data.ground[0]), {
    interactive: false, fill: false, color: "#552d20", weight: 1.5, dashArray: "6 4",
  }).addTo(groups.before);

  const status = { i: "inside the line", o: "outside the line", l: "on the line" };
  let now = data.days.length - 1;
  for (const [name, lat, lon, large, said] of data.places) {
    const dot = L.circleMarker([lat, lon], {
      radius: large ? 5 : 3, color: "#1f1c19", weight: 1.5, fillColor: "#fff", fillOpacity: 1,
    });
    const text = () => `${name}: ${status[said[now]]} on ${data.words[now].day}`;
    if (large) {
      dot.bindTooltip(words(name), { permanent: true, direction: "right", className: "name", offset: [4, 0] });
      dot.on("add", () => {
        const element = dot.getElement();
        element.setAttribute("tabindex", "0");
        element.setAttribute("role", "img");
        const tell = () => {
          element.setAttribute("aria-label", text());
          dot.getTooltip().setContent(words(text()));
        };
        const quiet = () => dot.getTooltip().setContent(words(name));
        element.setAttribute("aria-label", text());
        element.addEventListener("focus", tell);
        element.addEventListener("blur", quiet);
        dot.on("mouseover", tell).on("mouseout", quiet);
      });
    } else {
      dot.bindTooltip(() => words(text()));
    }
    dot.addTo(groups.places);
  }

  const show = (day) => {
    now = day;
    const said = data.words[day];
    groups.ground.clearLayers();
    groups.change.clearLayers();
    L.polygon(rings(data.ground[day]), held).addTo(groups.ground);
    for (const [kind, km2, polygons] of data.changes[day]) {
      const number = km2.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
      speak(L.polygon(rings(polygons), looks[kind]), `${said[kind]}: ${number} km²`).addTo(groups.change);
    }
    order();
    hatch();
    part("day").value = String(day);
    part("day").setAttribute("aria-valuetext", said.day);
    part("now").textContent = said.day;
    part("said").textContent = said.headline;
    part("ground-name").textContent = said.held;
    part("gained-name").textContent = said.gained;
    part("lost-name").textContent = said.lost;
    part("before-name").textContent = said.line_then;
  };

  let playing = 0;
  const stop = () => {
    clearInterval(playing);
    playing = 0;
    part("play").textContent = "Play";
    part("said").setAttribute("aria-live", "polite");
  };
  part("play").addEventListener("click", () => {
    if (playing) return stop();
    let day = now === data.days.length - 1 ? 0 : now;
    part("play").textContent = "Pause";
    part("said").setAttribute("aria-live", "off");
    playing = setInterval(() => {
      show(day);
      day += 1;
      if (day === data.days.length) stop();
    }, still ? 1000 : 200);
  });
  part("day").max = String(data.days.length - 1);
  part("day").addEventListener("input", (event) => {
    stop();
    show(Number(event.target.value));
  });
  // An address such as #day=2025-01-01 opens that day.
  const asked = data.days.indexOf((location.hash.match(/day=([\d-]+)/) || [])[1]);
  show(asked >= 0 ? asked : now);
})();
