# Counts letters of a generated text.
use strict;
use warnings;

my %count;
my $state = 1;
for my $i (1 .. 9_000_000) {
    $state = ($state * 1103515245 + 12345) % 2147483648;
    $count{chr(97 + ($state >> 16) % 26)}++;
}
print join(" ", map { "$_$count{$_}" } sort keys %count), "\n";
