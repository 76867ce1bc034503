// Tells the fork server what each kind of child does.
#pragma once

namespace rankpool::entry {

void register_works();

}  // namespace rankpool::entry
