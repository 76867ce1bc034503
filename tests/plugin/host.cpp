// Maps the functions of a plugin that is loaded after run() began and after chdir(), by workers that were there before it.
//     host PLUGIN
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>

#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] {
        rankpool::Pool pool(3);
        (void)pool.map([](int x) { return x; }, {1, 2, 3});
        if (chdir("/") != 0) return 3;
        void* plugin = dlopen(argv[1], RTLD_NOW);
        if (plugin == nullptr) {
            std::fprintf(stderr, "%s\n", dlerror());
            return 4;
        }
        const auto cube = reinterpret_cast<int (*)(int)>(dlsym(plugin, "plugin_cube"));
        const auto inside = reinterpret_cast<int (*)()>(dlsym(plugin, "plugin_map_inside"));
        if (cube == nullptr || inside == nullptr) return 5;
        for (const int value : pool.map(cube, {1, 2, 3, 4})) std::printf("%d ", value);
        std::printf("%d\n", inside());
        return 0;
    });
}
