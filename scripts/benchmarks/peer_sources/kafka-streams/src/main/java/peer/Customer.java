package peer;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;

/** One customer: facts, standing and the next due time. Times are event times (ms); 0 is never. */
final class Customer {
  static final String[] SEGMENTS = {"abandoned_cart", "recently_purchased", "repeat_buyer", "returning_visitor"};
  private static final long MINUTE = 60_000L;
  private static final long DAY = 24 * 60 * MINUTE;
  private static final long IDLE = 30 * MINUTE;
  private static final long CART_UNTIL = 30 * DAY;
  private static final long RECENT = 30 * DAY;
  private static final long YEAR = 365 * DAY;
  private static final long GAP = 30 * MINUTE;

  long due;
  private long instant;
  private int sequence;
  private int members;
  private long touched;
  private long active;
  // The newest two are enough: both segments ask for at least two, and nothing is taken back.
  private final long[] sessions = new long[2];
  private final long[] orders = new long[2];
  private final long[] orderIds = new long[2];
  private Map<String, Double> cart = new HashMap<>(4);

  /** An event, after the due times before it. */
  void apply(String name, Event event, Consumer<byte[]> out) {
    fire(name, event.time, out);
    instant = Math.max(instant, event.time);
    if (event.isActivity()) {
      if (sessions[0] == 0 || event.time - active >= GAP) {
        sessions[1] = sessions[0];
        sessions[0] = event.time;
      }
      active = event.time;
    }
    switch (event.kind) {
      case ORDER -> {
        cart.clear();
        touched = 0;
        long id = hash(event.order == null ? event.id : event.order);
        if (id != orderIds[0] && id != orderIds[1]) {
          orders[1] = orders[0];
          orderIds[1] = orderIds[0];
          orders[0] = event.time;
          orderIds[0] = id;
        }
      }
      case WHOLE_CART -> {
        touched = event.time;
        cart.clear();
        event.items.forEach(item -> cart.merge(item.product(), item.quantity(), Double::sum));
      }
      case ADDED -> {
        touched = event.time;
        event.items.forEach(
            item -> cart.merge(item.product(), Double.isNaN(item.quantity()) ? 1 : item.quantity(), Double::sum));
      }
      case REMOVED -> {
        touched = event.time;
        for (Event.Item item : event.items) {
          if (Double.isNaN(item.quantity())) {
            cart.remove(item.product());
          } else {
            cart.computeIfPresent(item.product(), (p, had) -> had > item.quantity() ? had - item.quantity() : null);
          }
        }
      }
      case CART -> touched = event.time;
      default -> { }
    }
    decide(name, event.id, out);
  }

  /** Every due time up to and including a moment, each at its own instant. */
  void fire(String name, long until, Consumer<byte[]> out) {
    while (due > 0 && due <= until) {
      instant = due;
      decide(name, null, out);
    }
  }

  private void decide(String name, String cause, Consumer<byte[]> out) {
    long now = instant;
    due = 0;
    boolean isOpen = touched > 0 && !cart.isEmpty();
    become(0, isOpen && within(touched + IDLE, touched + CART_UNTIL, now), name, cause, out);
    become(1, orders[0] > 0 && within(orders[0], orders[0] + RECENT, now), name, cause, out);
    become(2, orders[1] > 0 && within(orders[1], orders[1] + YEAR, now), name, cause, out);
    become(3, sessions[1] > 0 && within(sessions[1], sessions[1] + RECENT, now), name, cause, out);
  }

  private boolean within(long from, long to, long now) {
    long next = now < from ? from : now < to ? to : 0;
    if (next > 0 && (due == 0 || next < due)) {
      due = next;
    }
    return from <= now && now < to;
  }

  private void become(int segment, boolean holds, String name, String cause, Consumer<byte[]> out) {
    int bit = 1 << segment;
    if (holds == ((members & bit) != 0)) {
      return;
    }
    members ^= bit;
    sequence++;
    StringBuilder text = new StringBuilder(320);
    text.append("{\"customer_id\":\"").append(name).append("\",\"segment\":\"").append(SEGMENTS[segment]);
    text.append("\",\"change\":\"").append(holds ? "entered" : "exited");
    text.append("\",\"occurred_at\":\"").append(Instant.ofEpochMilli(instant));
    text.append("\",\"sequence\":").append(sequence).append(",\"segments\":[");
    String separator = "\"";
    for (int at = 0; at < SEGMENTS.length; at++) {
      if ((members & 1 << at) != 0) {
        text.append(separator).append(SEGMENTS[at]).append('"');
        separator = ",\"";
      }
    }
    text.append("],\"cause\":{\"kind\":\"").append(cause == null ? "time" : "event");
    if (cause != null) {
      text.append("\",\"event_id\":\"").append(cause);
    }
    out.accept(text.append("\"}}").toString().getBytes(StandardCharsets.UTF_8));
  }

  private static long hash(String id) {
    long found = 1125899906842597L;
    for (int at = 0; at < id.length(); at++) {
      found = 31 * found + id.charAt(at);
    }
    return found;
  }

  byte[] encoded(ByteBuffer room) {
    room.clear();
    room.putLong(due).putLong(instant).putInt(sequence).put((byte) members).putLong(touched).putLong(active);
    for (long[] pair : Arrays.asList(sessions, orders, orderIds)) {
      room.putLong(pair[0]).putLong(pair[1]);
    }
    room.putShort((short) cart.size());
    cart.forEach(
        (product, quantity) -> {
          byte[] text = product.getBytes(StandardCharsets.UTF_8);
          room.putShort((short) text.length).put(text).putDouble(quantity);
        });
    return Arrays.copyOf(room.array(), room.position());
  }

  static Customer decoded(byte[] stored) {
    Customer found = new Customer();
    if (stored == null) {
      return found;
    }
    ByteBuffer room = ByteBuffer.wrap(stored);
    found.due = room.getLong();
    found.instant = room.getLong();
    found.sequence = room.getInt();
    found.members = room.get();
    found.touched = room.getLong();
    found.active = room.getLong();
    for (long[] pair : Arrays.asList(found.sessions, found.orders, found.orderIds)) {
      pair[0] = room.getLong();
      pair[1] = room.getLong();
    }
    for (int left = room.getShort(); left > 0; left--) {
      byte[] text = new byte[room.getShort()];
      room.get(text);
      found.cart.put(new String(text, StandardCharsets.UTF_8), room.getDouble());
    }
    return found;
  }
}
