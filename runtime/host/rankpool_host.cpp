// rankpool-host: a stand-in for programs whose start the library does not see, an interpreter that loaded it as a plugin,
// say. Where such a program has threads, its workers are made by executing this one, which becomes a worker before its
// main begins and loads the modules with the functions to run. Started by anybody else it does nothing.
#include <cstdio>

#include <rankpool/version.hpp>

int main() {
    std::fprintf(stderr, "rankpool-host %s: started by rankpool when it needs it, of no use by itself\n", rankpool::version().c_str());
    return 2;
}
