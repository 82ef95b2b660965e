// Says in words when this page cannot reach its server, where Streamlit alone would show grey bars for ever; and reloads it when
// its login has ended in another tab.
(() => {
  const PATIENCE = 8000
  const Native = window.WebSocket
  let open = 0
  let timer = 0
  let note = null

  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given)
      this.addEventListener("open", () => {
        open += 1
        this.addEventListener("close", () => (open -= 1))
        hide()
      })
      this.addEventListener("close", (event) => {
        // The tab that logs out is on its way elsewhere; the others ask who is there now.
        if (event.code === 1008 && event.reason === "logged out") window.setTimeout(() => window.location.reload(), 500)
        else wait()
      })
    }
  }

  const wait = () => {
    if (!timer) timer = window.setTimeout(look, PATIENCE)
  }

  const look = async () => {
    timer = 0
    if (open > 0) return
    const said = await ask()
    if (open > 0) return
    show(said)
    wait()
  }

  const ask = async () => {
    try {
      // Only with POST does a browser say of which page it asks.
      const answer = await fetch("/starttally/connection", { method: "POST" })
      if ((answer.headers.get("content-type") || "").startsWith("text/plain")) return await answer.text()
      return `The web server in front of it answers ${answer.status} ${answer.statusText}. Reload this page.`
    } catch {
      return "It does not answer. It may be restarting; this page goes on as soon as it is back."
    }
  }

  const show = (said) => {
    if (!note) {
      note = document.createElement("div")
      note.id = "starttally-connection"
      note.setAttribute("role", "alert")
      Object.assign(note.style, {
        position: "fixed", inset: "0 0 auto 0", zIndex: "1000000", padding: "1rem 1.5rem",
        background: "#7a1f1f", color: "#ffffff", font: "1rem/1.5 sans-serif", overflowWrap: "anywhere",
      })
      document.body.append(note)
    }
    note.textContent = `This page cannot reach the dashboard. ${said}`
  }

  const hide = () => {
    note?.remove()
    note = null
  }

  wait()
})()
