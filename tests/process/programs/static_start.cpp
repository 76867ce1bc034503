// A static initialiser starts a process. Says "in child" and "in main".
#include <cstdio>

#include <rankpool/rankpool.hpp>

namespace {

struct Starts {
    Starts() {
        rankpool::Process child([] { std::puts("in child"); });
        child.start();
        child.join();
    }
};
Starts starts;

}  // namespace

int main() { std::puts("in main"); }
