// A page that is opened from disk may start no worker; there, the search runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "Search";
      document.body.append(frame);
      const inside = frame.contentWindow;
      // What the script calls to answer.
      inside.postMessage = (data) => this.#tell(new MessageEvent("message", { data }));
      const script = frame.contentDocument.createElement("script");
      script.src = url;
      this.#ready = new Promise((resolve) => script.addEventListener("load", resolve));
      frame.contentDocument.body.append(script);
      this.#inside = inside;
      this.#frame = frame;
    }

    #inside;
    #frame;
    #ready;

    #tell(event) {
      this.dispatchEvent(event);
      if (this.onmessage) this.onmessage(event);
    }

    postMessage(data) {
      this.#ready.then(() =>
        this.#inside.dispatchEvent(new this.#inside.MessageEvent("message", { data })),
      );
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
