#include "source/merged_source.h"

#include <limits>
#include <utility>

#include "base/check.h"

namespace evenkeel::source {

MergedSource::MergedSource(std::vector<std::unique_ptr<Source>> inputs) : inputs_(inputs.size()) {
  CHECK(!inputs.empty());
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs_[i].source = std::move(inputs[i]);
}

void MergedSource::refill(Input& input) {
  const ReceiveStatus status = input.source->receive(input.packets, input.end);
  input.begin = 0;
  input.ended = status == ReceiveStatus::kEnd || status == ReceiveStatus::kError;
}

bool MergedSource::all_have_heads() {
  bool all = true;
  for (Input& input : inputs_) {
    if (input.waiting()) refill(input);
    all &= !input.waiting();
  }
  return all;
}

MergedSource::Next MergedSource::next() {
  Next next;
  next.until_ns = std::numeric_limits<std::int64_t>::max();
  for (Input& input : inputs_) {
    const Packet* const head = input.head();
    if (head == nullptr) continue;
    if (next.input == nullptr) {
      next.input = &input;
    } else if (head->time_ns < next.input->head()->time_ns) {
      // The one so far was named before this one: at the same time it is its turn.
      next.until_ns = next.input->head()->time_ns - 1;
      next.input = &input;
    } else if (head->time_ns < next.until_ns) {
      next.until_ns = head->time_ns;
    }
  }
  return next;
}

std::size_t MergedSource::take_run(const Next& next, std::span<Packet*> out) {
  Input& input = *next.input;
  std::size_t taken = 0;
  while (taken < out.size() && input.begin < input.end &&
         input.packets[input.begin]->time_ns <= next.until_ns) {
    Packet* const packet = input.packets[input.begin++];
    packet->sequence = received_++;
    input.merged_bytes += packet->wire_length;
    out[taken++] = packet;
  }
  input.merged += taken;
  return taken;
}

ReceiveStatus MergedSource::receive(std::span<Packet*> out, std::size_t& count) {
  count = 0;
  while (count < out.size()) {
    if (!all_have_heads()) return ReceiveStatus::kIdle;
    const Next turn = next();
    if (turn.input == nullptr) return error() ? ReceiveStatus::kError : ReceiveStatus::kEnd;
    count += take_run(turn, out.subspan(count));
  }
  return ReceiveStatus::kMore;
}

bool MergedSource::can_wait() const {
  for (const Input& input : inputs_) {
    if (!input.source->can_wait()) return false;
  }
  return true;
}

SourceStatistics MergedSource::statistics() const {
  SourceStatistics sum;
  sum.bytes_total = 0;
  sum.packets_total = 0;
  for (const Input& input : inputs_) {
    const SourceStatistics one = input.source->statistics();
    sum.dropped_before += one.dropped_before;
    sum.bytes_read += one.bytes_read;
    if (!one.bytes_total) sum.bytes_total.reset();
    if (sum.bytes_total) *sum.bytes_total += *one.bytes_total;
    if (!one.packets_total) sum.packets_total.reset();
    if (sum.packets_total) *sum.packets_total += *one.packets_total;
    // Not what the inputs counted: some of that waits here.
    sum.received += input.merged;
    sum.bytes += input.merged_bytes;
  }
  return sum;
}

std::optional<Error> MergedSource::error() const {
  std::optional<Error> all;
  for (const Input& input : inputs_) {
    const auto one = input.source->error();
    if (!one) continue;
    if (all) {
      all->message += "; " + one->message;
    } else {
      all = one;
    }
  }
  return all;
}

std::string MergedSource::name() const {
  std::string names;
  for (const Input& input : inputs_) {
    if (!names.empty()) names += ", ";
    names += input.source->name();
  }
  return names;
}

std::vector<InputStatistics> MergedSource::inputs() const {
  std::vector<InputStatistics> all;
  for (const Input& input : inputs_) {
    all.push_back({input.source->name(), input.merged, input.merged_bytes, input.source->error()});
  }
  return all;
}

}  // namespace evenkeel::source
