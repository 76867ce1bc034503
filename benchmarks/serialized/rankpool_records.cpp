#include "serialized/scatter_gather.hpp"

int main(int argc, char** argv) { return bench::scatter_and_gather(argc, argv, bench::make_records); }
