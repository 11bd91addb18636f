// src/widget.ts
var e = 0;
function t({ model: t, el: n }) {
	let r = ++e, i = document.createElement("iframe");
	i.title = "separatrix explorer", i.setAttribute("sandbox", "allow-scripts allow-downloads"), i.style.cssText = `width: 100%; height: ${Number(t.get("height"))}px; border: 0`;
	let { port1: a, port2: o } = new MessageChannel();
	a.onmessage = ({ data: e }) => t.send({ view: r }, void 0, [e]);
	let s = (e, t) => {
		if (e.view === r) for (let e of t) {
			let t = (e instanceof ArrayBuffer ? new Uint8Array(e) : new Uint8Array(e.buffer, e.byteOffset, e.byteLength)).slice().buffer;
			a.postMessage(t, [t]);
		}
	}, c = ({ data: e, source: t }) => {
		t === i.contentWindow && e === "separatrix" && (removeEventListener("message", c), i.contentWindow.postMessage("separatrix", "*", [o]));
	};
	return addEventListener("message", c), t.on("msg:custom", s), i.srcdoc = String(t.get("page")), n.append(i), () => {
		removeEventListener("message", c), t.off("msg:custom", s), a.close(), i.remove();
	};
}
var n = { render: t };
export { n as default };
