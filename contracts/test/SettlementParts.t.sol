// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ISettlement } from "../src/interfaces/ISettlement.sol";
import { Fixture } from "./helpers/Fixture.sol";
import { PlainToken } from "./helpers/Tokens.sol";

/// @dev Burns all the gas it gets, once told to.
contract BurningToken is PlainToken {
    bool private _burning;

    function burn() external {
        _burning = true;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        while (_burning) { }
        return super.transfer(to, amount);
    }
}

/// @notice An epoch whose lines cost too much for one transaction is paid in parts.
contract SettlementPartsTest is Fixture {
    /// @dev Most that one transaction may use (EIP-7825).
    uint256 private constant MOST_GAS = 16_777_216;
    bytes32 private constant ROOT = keccak256("root");

    bytes32[] private ids;
    BurningToken[] private tokens;

    function setUp() public override {
        super.setUp();
        becomeSettler();
    }

    function epochOf64() private returns (ISettlement.EpochContent memory content) {
        for (uint256 i = 0; i < 64; ++i) {
            BurningToken token = new BurningToken();
            token.mint(address(this), 10);
            token.approve(address(escrow), 10);
            tokens.push(token);
            ids.push(escrow.createJob(address(token), 10, 10, 0));
            for (uint256 j = i; j > 0 && ids[j] < ids[j - 1]; --j) {
                (ids[j], ids[j - 1]) = (ids[j - 1], ids[j]);
                (tokens[j], tokens[j - 1]) = (tokens[j - 1], tokens[j]);
            }
        }
        content = contentOf(0, 0, ROOT);
        content.jobs = new ISettlement.JobSettlement[](64);
        for (uint256 i = 0; i < 64; ++i) {
            content.jobs[i] = lineOf(ids[i], 1);
        }
        settlement.proposeEpoch(content);
        skip(WINDOW);
    }

    function test_sixtyFourBurningTokensFitTheBlock() public {
        ISettlement.EpochContent memory content = epochOf64();
        for (uint256 i = 0; i < 64; ++i) {
            tokens[i].burn();
        }
        for (uint256 part = 0; part < 4; ++part) {
            eq(rewards.root(), 0, "not before all is paid");
            uint256 before = gasleft();
            settlement.finaliseInParts{ gas: MOST_GAS }(content, 16);
            atMost(before - gasleft(), MOST_GAS / 2, "gas of 16 lines");
        }
        eq(rewards.root(), ROOT, "published");
        for (uint256 i = 0; i < 64; ++i) {
            eq(escrow.undelivered(address(tokens[i])), 1, "waits for delivery");
        }
    }

    function testFuzz_everyLineIsPaidOnce(uint256[6] memory sizes, address caller) public {
        ISettlement.EpochContent memory content = epochOf64();
        uint256 paid = 0;
        for (uint256 i = 0; i < 6 && paid < 64; ++i) {
            uint256 lines = bound(sizes[i], 0, 70);
            vm.prank(caller);
            settlement.finaliseInParts(content, lines);
            paid = paid + lines < 64 ? paid + lines : 64;
            for (uint256 k = 0; k < 64; ++k) {
                eq(tokens[k].balanceOf(address(rewards)), k < paid ? 1 : 0, "paid");
            }
            eq(settlement.payingEpoch(), paid < 64 ? 1 : 0, "paying");
            eq(rewards.root(), paid < 64 ? bytes32(0) : ROOT, "root");
        }
        if (paid < 64) settlement.finaliseEpoch(content);
        isStatus(1, ISettlement.Status.Finalised);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongStatus.selector, 1, ISettlement.Status.Finalised));
        settlement.finaliseEpoch(content);
        eq(rewards.root(), ROOT, "published");
    }

    function test_theNextEpochWaitsForTheLines() public {
        ISettlement.EpochContent memory content = epochOf64();
        ISettlement.EpochContent memory next = contentOf(fund(alice, 10, 10), 1, keccak256("next"));
        settlement.proposeEpoch(next);
        skip(WINDOW);
        settlement.finaliseInParts(content, 0);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.LinesUnpaid.selector, 1));
        settlement.finaliseEpoch(next);
        ISettlement.EpochContent memory forged = contentOf(ids[0], 9, ROOT);
        forged.epoch = 1;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongContent.selector, 1));
        settlement.finaliseEpoch(forged);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.WrongStatus.selector, 1, ISettlement.Status.Finalised));
        settlement.reject(1);
        settlement.finaliseEpoch(content);
        settlement.finaliseEpoch(next);
        eq(rewards.root(), keccak256("next"), "in order");
    }
}
