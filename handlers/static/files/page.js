const show = (id, text) => { document.getElementById(id).value = text; };

// The browser connects again by itself after the clock's handler was replaced.
new EventSource("/clock").onmessage = (event) => show("clock", event.data);

document.getElementById("echo").addEventListener("submit", (event) => {
  event.preventDefault();
  const socket = new WebSocket("/echo");
  socket.onopen = () => socket.send(document.getElementById("message").value);
  socket.onmessage = (echo) => { show("answer", echo.data); socket.close(); };
  socket.onerror = () => show("answer", "the echo handler does not answer");
});
