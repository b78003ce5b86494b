package peer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.streams.processor.TimestampExtractor;

/** As much of a Segment Spec event as the four segments need; the rest is passed over by the parser. */
final class Event {
  /** One product of a cart event; quantity in units. */
  record Item(String product, double quantity) {}

  enum Kind { BROWSE, CART, ADDED, REMOVED, WHOLE_CART, ORDER, OTHER }

  Kind kind = Kind.OTHER;
  String id = "";
  long time;
  String order;
  List<Item> items = List.of();

  boolean isActivity() {
    return kind != Kind.ORDER && kind != Kind.OTHER;
  }

  /** Event time, as told by the event. */
  static final class Time implements TimestampExtractor {
    @Override
    public long extract(ConsumerRecord<Object, Object> record, long partitionTime) {
      return ((Event) record.value()).time;
    }
  }

  /** One pass over the JSON without a tree. */
  static final class Reader implements Deserializer<Event> {
    private final JsonFactory json = new JsonFactory();

    @Override
    public Event deserialize(String topic, byte[] value) {
      try (JsonParser parser = json.createParser(value)) {
        return read(parser);
      } catch (IOException error) {
        throw new IllegalArgumentException(error);
      }
    }

    private static Event read(JsonParser parser) throws IOException {
      Event event = new Event();
      String type = null;
      String name = null;
      Product one = new Product();
      List<Item> products = null;
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String field = parser.currentName();
        parser.nextToken();
        switch (field) {
          case "type" -> type = parser.getText();
          case "event" -> name = parser.getText();
          case "messageId" -> event.id = parser.getText();
          case "timestamp" -> event.time = Instant.parse(parser.getText()).toEpochMilli();
          case "properties" -> {
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
              String property = parser.currentName();
              parser.nextToken();
              switch (property) {
                case "order_id" -> event.order = parser.getText();
                case "products" -> products = products(parser);
                default -> one.take(property, parser);
              }
            }
          }
          default -> parser.skipChildren();
        }
      }
      event.kind = kind(type, name);
      if (event.kind == Kind.ADDED || event.kind == Kind.REMOVED) {
        event.items = List.of(new Item(one.id, one.quantity));
      } else if (event.kind == Kind.WHOLE_CART) {
        if (products == null) {
          event.kind = Kind.CART;
        } else {
          event.items = products;
        }
      }
      return event;
    }

    private static List<Item> products(JsonParser parser) throws IOException {
      List<Item> found = new ArrayList<>();
      while (parser.nextToken() == JsonToken.START_OBJECT) {
        Product one = new Product();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          String property = parser.currentName();
          parser.nextToken();
          one.take(property, parser);
        }
        found.add(new Item(one.id, Double.isNaN(one.quantity) ? 1 : one.quantity));
      }
      return found;
    }

    private static Kind kind(String type, String name) {
      if ("page".equals(type) || "screen".equals(type)) {
        return Kind.BROWSE;
      }
      if (name == null) {
        return Kind.OTHER;
      }
      return switch (name) {
        case "Product Viewed", "Product List Viewed", "Product List Filtered", "Products Searched", "Product Clicked",
            "Promotion Viewed", "Promotion Clicked" -> Kind.BROWSE;
        case "Product Added", "Wishlist Product Added to Cart" -> Kind.ADDED;
        case "Product Removed" -> Kind.REMOVED;
        case "Cart Viewed", "Checkout Started" -> Kind.WHOLE_CART;
        case "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered", "Coupon Entered",
            "Coupon Applied", "Coupon Removed", "Coupon Denied" -> Kind.CART;
        case "Order Completed" -> Kind.ORDER;
        default -> Kind.OTHER;
      };
    }
  }

  private static final class Product {
    private String id = "";
    private double quantity = Double.NaN;

    void take(String property, JsonParser parser) throws IOException {
      switch (property) {
        case "product_id" -> id = parser.getText();
        case "quantity" -> quantity = parser.getDoubleValue();
        default -> parser.skipChildren();
      }
    }
  }
}
