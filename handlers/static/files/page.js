const show = (id, text) => { document.getElementById(id).value = text; };

// The browser connects again by itself where a stream ends, as when the clock's
// handler was replaced; but it gives up for good on an answer that is no stream:
// 404 and 503 while that handler is away. Then it is for us to ask again.
const watchClock = () => {
  const clock = new EventSource("/clock");
  clock.onmessage = (event) => show("clock", event.data);
  clock.onerror = () => {
    show("clock", "the clock handler does not answer");
    if (clock.readyState === EventSource.CLOSED) setTimeout(watchClock, 1000);
  };
};
watchClock();

document.getElementById("echo").addEventListener("submit", (event) => {
  event.preventDefault();
  let answer = "the echo handler does not answer";
  const socket = new WebSocket("/echo");
  socket.onopen = () => socket.send(document.getElementById("message").value);
  socket.onmessage = (echo) => { answer = echo.data; socket.close(); };
  socket.onclose = () => show("answer", answer); // after an error, too
});
