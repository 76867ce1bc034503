// expect: rankpool: this type cannot travel to another process: it is or contains a pointer, reference, string_view, span or other view
#include <rankpool/rankpool.hpp>

void use(rankpool::Communicator& world) {
    const char* text = "a";
    world.bcast(text);
}
