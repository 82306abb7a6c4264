// A doubly linked list through its items: linking and unlinking take constant time and no memory.
//
// Invariant: an item is in at most one list by the same links. The list does not own its items; they outlive
// their membership. Thread: one at a time.
#pragma once

#include <cstddef>

#include "base/check.h"

namespace evenkeel::base {

template <typename T>
struct ListLinks {
  T* previous = nullptr;
  T* next = nullptr;
  bool linked = false;
};

template <typename T, ListLinks<T> T::*kLinks>
class LinkedList {
 public:
  bool empty() const { return first_ == nullptr; }
  T* front() const { return first_; }

  void push_back(T& item) { insert_between(last_, item, nullptr); }
  void push_front(T& item) { insert_between(nullptr, item, first_); }

  void remove(T& item) {
    ListLinks<T>& links = item.*kLinks;
    DCHECK(links.linked);
    (links.previous == nullptr ? first_ : (links.previous->*kLinks).next) = links.next;
    (links.next == nullptr ? last_ : (links.next->*kLinks).previous) = links.previous;
    links = {};
  }

  void move_to_back(T& item) {
    remove(item);
    push_back(item);
  }

 private:
  void insert_between(T* previous, T& item, T* next) {
    ListLinks<T>& links = item.*kLinks;
    DCHECK(!links.linked);
    links = {previous, next, true};
    (previous == nullptr ? first_ : (previous->*kLinks).next) = &item;
    (next == nullptr ? last_ : (next->*kLinks).previous) = &item;
  }

  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace evenkeel::base
