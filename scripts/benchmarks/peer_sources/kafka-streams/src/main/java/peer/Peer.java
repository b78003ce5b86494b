package peer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The four segments on Kafka Streams, as fast as we could make it: bytes in its stores, RocksDB behind its record
 * cache, a changelog, the inputs merged by event time (KIP-695), due times in event time.
 *
 * <p>Arguments: brokers, folder of its state, guarantee, threads, commit interval (ms), then prefixes of topics. It
 * runs one application after the other in one warm process, the next one when a line is read from standard input.
 */
public final class Peer {
  private static final Duration DUE_EVERY = Duration.ofMillis(100);

  private Peer() {}

  public static void main(String[] arguments) throws IOException {
    BufferedReader told = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (int at = 5; at < arguments.length; at++) {
      String prefix = arguments[at];
      try (KafkaStreams streams = new KafkaStreams(topology(prefix), settings(arguments, prefix))) {
        streams.setStateListener((now, before) -> say(now + " " + prefix));
        streams.start();
        told.readLine();
        streams.close(Duration.ofSeconds(30));
      }
    }
  }

  private static void say(String what) {
    System.out.println(what);
    System.out.flush();
  }

  private static Properties settings(String[] arguments, String prefix) {
    Properties set = new Properties();
    set.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "peer");
    set.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
    set.put(StreamsConfig.STATE_DIR_CONFIG, arguments[1]);
    set.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[2]);
    set.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[3]);
    set.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[4]);
    set.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
    set.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 2_000);
    set.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    set.put(StreamsConfig.METRICS_RECORDING_LEVEL_CONFIG, "INFO");
    set.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    set.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 4_000);
    set.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
    return set;
  }

  private static Topology topology(String prefix) {
    Deserializer<byte[]> bytes = Serdes.ByteArray().deserializer();
    Serializer<byte[]> written = Serdes.ByteArray().serializer();
    return new Topology()
        .addSource(
            Topology.AutoOffsetReset.EARLIEST, "in", new Event.Time(), bytes, new Event.Reader(),
            prefix + "profiles", prefix + "visits", prefix + "carts", prefix + "purchases")
        .addProcessor("decide", Decide::new, "in")
        .addStateStore(
            Stores.keyValueStoreBuilder(
                    Stores.persistentKeyValueStore("customers"), Serdes.Bytes(), Serdes.ByteArray())
                .withCachingEnabled(),
            "decide")
        .addStateStore(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("dues"), Serdes.Bytes(), Serdes.ByteArray())
                .withCachingEnabled(),
            "decide")
        .addSink("out", prefix + "segment-changes", written, written, "decide");
  }

  /** One partition of all inputs. */
  private static final class Decide implements Processor<byte[], Event, byte[], byte[]> {
    private static final byte[] NOTHING = {};
    private final ByteBuffer room = ByteBuffer.allocate(1 << 16);
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> customers;
    private KeyValueStore<Bytes, byte[]> dues;
    private long fired;

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
      context = given;
      customers = given.getStateStore("customers");
      dues = given.getStateStore("dues");
      given.schedule(DUE_EVERY, PunctuationType.STREAM_TIME, this::fire);
    }

    @Override
    public void process(Record<byte[], Event> record) {
      step(record.key(), record.value(), 0);
    }

    private void fire(long now) {
      List<byte[]> ready = new ArrayList<>();
      // From what was fired last: before it there is nothing but what RocksDB has yet to forget.
      try (KeyValueIterator<Bytes, byte[]> found = dues.range(at(fired, NOTHING), at(now + 1, NOTHING))) {
        found.forEachRemaining(one -> ready.add(one.key.get()));
      }
      fired = now;
      for (byte[] one : ready) {
        byte[] key = new byte[one.length - Long.BYTES];
        System.arraycopy(one, Long.BYTES, key, 0, key.length);
        step(key, null, now);
      }
    }

    private void step(byte[] key, Event event, long until) {
      Bytes id = Bytes.wrap(key);
      Customer customer = Customer.decoded(customers.get(id));
      String name = new String(key, StandardCharsets.UTF_8);
      long before = customer.due;
      long time = event == null ? until : event.time;
      if (event == null) {
        customer.fire(name, until, change -> context.forward(new Record<>(key, change, time)));
      } else {
        customer.apply(name, event, change -> context.forward(new Record<>(key, change, time)));
      }
      customers.put(id, customer.encoded(room));
      if (customer.due != before) {
        if (before > 0) {
          dues.delete(at(before, key));
        }
        if (customer.due > 0) {
          dues.put(at(customer.due, key), NOTHING);
        }
      }
    }

    private static Bytes at(long due, byte[] key) {
      return Bytes.wrap(ByteBuffer.allocate(Long.BYTES + key.length).putLong(due).put(key).array());
    }
  }
}
