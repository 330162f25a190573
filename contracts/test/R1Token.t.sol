// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import { Fixture } from "./helpers/Fixture.sol";

contract R1TokenTest is Fixture {
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function permitSignature(uint256 key, address spender, uint256 value, uint256 deadline)
        private
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        address owner = vm.addr(key);
        bytes32 message = keccak256(abi.encode(PERMIT, owner, spender, value, r1.nonces(owner), deadline));
        return vm.sign(key, keccak256(abi.encodePacked(hex"1901", r1.DOMAIN_SEPARATOR(), message)));
    }

    function test_wholeSupplyGoesToTheHolder() public view {
        eq(r1.totalSupply(), SUPPLY, "supply");
        eq(r1.balanceOf(address(this)), SUPPLY, "holder");
    }

    function test_clockIsTimestamp() public view {
        eq(r1.clock(), block.timestamp, "clock");
        eq(keccak256(bytes(r1.CLOCK_MODE())), keccak256("mode=timestamp"), "mode");
    }

    function testFuzz_permitSetsAllowanceOnce(uint256 key, uint256 value) public {
        key = bound(key, 1, type(uint128).max);
        (uint8 v, bytes32 r, bytes32 s) = permitSignature(key, bob, value, block.timestamp);
        r1.permit(vm.addr(key), bob, value, block.timestamp, v, r, s);
        eq(r1.allowance(vm.addr(key), bob), value, "allowance");
        vm.expectPartialRevert(ERC20Permit.ERC2612InvalidSigner.selector);
        r1.permit(vm.addr(key), bob, value, block.timestamp, v, r, s);
    }

    function testFuzz_permitOfAnotherChainIsRefused(uint256 key, uint64 chain) public {
        key = bound(key, 1, type(uint128).max);
        vm.assume(chain != 0 && chain != block.chainid);
        (uint8 v, bytes32 r, bytes32 s) = permitSignature(key, bob, 1, block.timestamp);
        vm.chainId(chain);
        vm.expectPartialRevert(ERC20Permit.ERC2612InvalidSigner.selector);
        r1.permit(vm.addr(key), bob, 1, block.timestamp, v, r, s);
    }

    function testFuzz_votesFollowTheBalance(uint256 amount, uint256 back) public {
        amount = bound(amount, 1, SUPPLY);
        back = bound(back, 0, amount);
        vm.prank(alice);
        r1.delegate(alice);
        r1.transfer(alice, amount);
        eq(r1.getVotes(alice), amount, "votes after the transfer");
        vm.prank(alice);
        r1.transfer(bob, back);
        eq(r1.getVotes(alice), amount - back, "votes after giving some away");
    }

    function testFuzz_burnLowersTheSupply(uint256 amount) public {
        amount = bound(amount, 0, SUPPLY);
        r1.burn(amount);
        eq(r1.totalSupply(), SUPPLY - amount, "supply");
    }
}
